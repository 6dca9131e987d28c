// Several messages at once in AVX-512 lanes, so that nothing is lost to the ends of messages, and what each
// needs before its first byte is shared.
//
// INVARIANT: no branch and no address depends on keys, key stream or plaintext.

#include "kernels.h"

#if defined(__x86_64__)

#include "avx512-chacha.h"
#include "avx512-poly.h"
#include "lanes-worker.h"

namespace overlay {
namespace {

using avx512::addBlock;
using avx512::addMessage;
using avx512::Blocks;
using avx512::runBlocks;

struct Avx512Lanes {
  static constexpr size_t MESSAGES = LANES_32;
  using Keys = uint8_t (*)[CHACHA_BLOCK_BYTES];

  // In one stream, so that lanes which the keys leave are filled with data.
  AVX512 static void sealBlocks(const uint8_t* key, AeadMessage* const* messages, size_t count, Keys keys) {
    Blocks blocks;
    for (size_t i = 0; i < count; i++) addBlock(key, blocks, *messages[i], 0, keys[i], CHACHA_BLOCK_BYTES);
    for (size_t i = 0; i < count; i++) addMessage(key, blocks, *messages[i]);
    if (blocks.count > 0) runBlocks(key, blocks);
  }

  AVX512 static void keyBlocks(const uint8_t* key, AeadMessage* const* messages, size_t count, Keys keys) {
    Blocks blocks;
    for (size_t i = 0; i < count; i++) addBlock(key, blocks, *messages[i], 0, keys[i], CHACHA_BLOCK_BYTES);
    if (blocks.count > 0) runBlocks(key, blocks);
  }

  AVX512 static void openBlocks(const uint8_t* key, AeadMessage* const* messages, size_t count) {
    Blocks blocks;
    for (size_t i = 0; i < count; i++) {
      if (messages[i]->isAuthentic) addMessage(key, blocks, *messages[i]);
    }
    if (blocks.count > 0) runBlocks(key, blocks);
  }

  static void makeTags(const AeadMessage* const* messages, size_t count, const uint8_t (*keys)[CHACHA_BLOCK_BYTES],
                       uint8_t (*tags)[AEAD_TAG_BYTES]) {
    avx512::makeTags(messages, count, keys, tags);
  }
};

bool isAvailable() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512ifma") && __builtin_cpu_supports("bmi2");
}

}  // namespace

const AeadKernel AVX512_KERNEL{
    "avx512",
    isAvailable,
    []() -> std::unique_ptr<AeadWorker> { return std::make_unique<LanesWorker<Avx512Lanes>>(); },
    makeTagInLanes<Avx512Lanes>,
};

}  // namespace overlay

#else

namespace overlay {

const AeadKernel AVX512_KERNEL{"avx512", [] { return false; }, nullptr, nullptr};

}  // namespace overlay

#endif
