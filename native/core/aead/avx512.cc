// Several messages at once in AVX-512 lanes, so that nothing is lost to the ends of messages, and what each
// needs before its first byte is shared.
//
// INVARIANT: no branch and no address depends on keys, key stream or plaintext.

#include "kernels.h"

#if defined(__x86_64__)

#include <algorithm>
#include <cstring>
#include <vector>

#include "avx512-chacha.h"
#include "avx512-poly.h"

namespace overlay {
namespace {

using avx512::addBlock;
using avx512::addMessage;
using avx512::Blocks;
using avx512::makeTags;
using avx512::runBlocks;

class Avx512Worker final : public AeadWorker {
 public:
  Avx512Worker() {
    if (OPENSSL_KERNEL.isAvailable()) single_ = OPENSSL_KERNEL.create();
  }

  void sealBatch(const uint8_t* key, AeadMessage* messages, size_t count) override {
    if (isForSingle(messages, count)) return single_->sealBatch(key, messages, count);
    order(messages, count);
    for (size_t first = 0; first < count; first += LANES_32) sealGroup(key, &ordered_[first], std::min(LANES_32, count - first));
    ::explicit_bzero(keys_, sizeof(keys_));
  }

  void openBatch(const uint8_t* key, AeadMessage* messages, size_t count) override {
    if (isForSingle(messages, count)) return single_->openBatch(key, messages, count);
    order(messages, count);
    for (size_t first = 0; first < count; first += LANES_32) openGroup(key, &ordered_[first], std::min(LANES_32, count - first));
    ::explicit_bzero(keys_, sizeof(keys_));
  }

 private:
  // Measured: from so many messages on, lanes are full enough; below so many bytes they are faster anyway.
  static constexpr size_t FEW_MESSAGES = 3;
  static constexpr size_t SMALL_BYTES = 256;
  static constexpr size_t FEW_LARGE_MESSAGES = 8;
  static constexpr size_t LARGE_BYTES = 4'096;

  bool isForSingle(const AeadMessage* messages, size_t count) const {
    if (single_ == nullptr || count > FEW_LARGE_MESSAGES) return false;
    const size_t limit = count <= FEW_MESSAGES ? SMALL_BYTES : LARGE_BYTES;
    return std::any_of(messages, messages + count, [limit](const AeadMessage& one) { return one.length > limit; });
  }

  // Those of like length beside each other: a lane that is through waits for the others.
  void order(AeadMessage* messages, size_t count) {
    ordered_.resize(count);
    bool isEven = true;
    for (size_t i = 0; i < count; i++) {
      ordered_[i] = &messages[i];
      isEven = isEven && messages[i].length == messages[0].length;
    }
    if (isEven) return;
    std::sort(ordered_.begin(), ordered_.end(), [](const AeadMessage* a, const AeadMessage* b) { return a->length > b->length; });
  }

  AVX512 void addKeys(const uint8_t* key, Blocks& blocks, AeadMessage* const* messages, size_t count) {
    std::memset(keys_, 0, sizeof(keys_));
    for (size_t i = 0; i < count; i++) addBlock(key, blocks, *messages[i], 0, keys_[i], CHACHA_BLOCK_BYTES);
  }

  AVX512 void sealGroup(const uint8_t* key, AeadMessage* const* messages, size_t count) {
    Blocks blocks;
    addKeys(key, blocks, messages, count);
    for (size_t i = 0; i < count; i++) addMessage(key, blocks, *messages[i]);
    if (blocks.count > 0) runBlocks(key, blocks);
    uint8_t tags[LANES_32][AEAD_TAG_BYTES];
    makeTags(messages, count, keys_, tags);
    for (size_t i = 0; i < count; i++) std::memcpy(messages[i]->bytes + messages[i]->length, tags[i], AEAD_TAG_BYTES);
  }

  AVX512 void openGroup(const uint8_t* key, AeadMessage* const* messages, size_t count) {
    Blocks blocks;
    addKeys(key, blocks, messages, count);
    if (blocks.count > 0) runBlocks(key, blocks);
    uint8_t tags[LANES_32][AEAD_TAG_BYTES];
    makeTags(messages, count, keys_, tags);
    for (size_t i = 0; i < count; i++) {
      AeadMessage& message = *messages[i];
      message.isAuthentic = isEqualTag(tags[i], message.bytes + message.length);
      if (message.isAuthentic) addMessage(key, blocks, message);
    }
    if (blocks.count > 0) runBlocks(key, blocks);
  }

  // Few long messages are better alone.
  std::unique_ptr<AeadWorker> single_;
  std::vector<AeadMessage*> ordered_;
  uint8_t keys_[LANES_32][CHACHA_BLOCK_BYTES];
};

bool isAvailable() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512ifma") && __builtin_cpu_supports("bmi2");
}

void makeTag(const uint8_t* polyKey, const AeadMessage& message, uint8_t* tag) {
  uint8_t keys[LANES_32][CHACHA_BLOCK_BYTES] = {};
  uint8_t tags[LANES_32][AEAD_TAG_BYTES];
  const AeadMessage* messages[LANES_32];
  // The last of several, so that the second group is seen as well.
  for (size_t i = 0; i < LANES_32; i++) {
    messages[i] = &message;
    std::memcpy(keys[i], polyKey, POLY_KEY_BYTES);
  }
  makeTags(messages, LANES_32, keys, tags);
  std::memcpy(tag, tags[LANES_32 - 1], AEAD_TAG_BYTES);
}

}  // namespace

const AeadKernel AVX512_KERNEL{
    "avx512",
    isAvailable,
    []() -> std::unique_ptr<AeadWorker> { return std::make_unique<Avx512Worker>(); },
    makeTag,
};

}  // namespace overlay

#else

namespace overlay {

const AeadKernel AVX512_KERNEL{"avx512", [] { return false; }, nullptr, nullptr};

}  // namespace overlay

#endif
