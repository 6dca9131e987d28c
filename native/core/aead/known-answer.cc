// What a kernel must know before it is used: a batch of messages of all awkward lengths, sealed, opened,
// and one of them damaged. The answer was computed with OpenSSL.

#include <array>
#include <cstring>
#include <vector>

#include "kernels.h"

namespace overlay {
namespace {

constexpr std::array<uint32_t, 18> LENGTHS{0,  1, 16,  63,   64, 65, 300, 1024, 1420,
                                           33, 5, 128, 1439, 17, 48, 15,  255,  80};
constexpr uint64_t COUNTER_STEP = 0xffff'fffe;
// Exclusive-or of the tags of all messages.
constexpr uint8_t ANSWER[AEAD_TAG_BYTES] = {0x85, 0x0e, 0x52, 0x16, 0x60, 0x88, 0xd9, 0x04,
                                            0xba, 0xc7, 0x99, 0x84, 0x4f, 0xdb, 0xad, 0x08};
constexpr size_t DAMAGED = 8;

struct Batch {
  std::vector<std::vector<uint8_t>> memory;
  std::vector<AeadMessage> messages;

  Batch() {
    for (size_t k = 0; k < LENGTHS.size(); k++) {
      std::vector<uint8_t> bytes(LENGTHS[k] + AEAD_TAG_BYTES);
      for (size_t i = 0; i < LENGTHS[k]; i++) bytes[i] = static_cast<uint8_t>(i * 7 + k);
      memory.push_back(std::move(bytes));
    }
    for (size_t k = 0; k < LENGTHS.size(); k++) {
      messages.push_back({memory[k].data(), LENGTHS[k], false, COUNTER_STEP * (k + 1)});
    }
  }
};

}  // namespace

bool knowsAnswer(const AeadKernel& kernel) {
  uint8_t key[AEAD_KEY_BYTES];
  for (size_t i = 0; i < sizeof(key); i++) key[i] = static_cast<uint8_t>(i);
  const std::unique_ptr<AeadWorker> worker = kernel.create();
  const Batch plain;
  Batch batch;
  worker->sealBatch(key, batch.messages.data(), batch.messages.size());
  uint8_t answer[AEAD_TAG_BYTES] = {};
  for (const AeadMessage& message : batch.messages) {
    for (size_t i = 0; i < AEAD_TAG_BYTES; i++) answer[i] ^= message.bytes[message.length + i];
  }
  if (std::memcmp(answer, ANSWER, sizeof(ANSWER)) != 0) return false;
  batch.messages[DAMAGED].bytes[LENGTHS[DAMAGED] / 2] ^= 1;
  worker->openBatch(key, batch.messages.data(), batch.messages.size());
  for (size_t k = 0; k < LENGTHS.size(); k++) {
    if (batch.messages[k].isAuthentic != (k != DAMAGED)) return false;
    if (k != DAMAGED && std::memcmp(batch.memory[k].data(), plain.memory[k].data(), LENGTHS[k]) != 0) return false;
  }
  return true;
}

}  // namespace overlay
