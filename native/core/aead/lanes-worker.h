// What kernels with several messages in flight have in common: messages of like length go together, and
// few large ones are left to OpenSSL, which is faster for them.
//
// `Lanes` is the kernel's part, all static:
//   MESSAGES          of one group
//   sealBlocks        key blocks to `keys`, and messages exclusive-ored with their key streams
//   keyBlocks         key blocks to `keys`, which is zero
//   openBlocks        the same for messages that are authentic
//   makeTags          of sealed messages
#pragma once

#include <algorithm>
#include <cstring>

#include "kernels.h"
#include "scalar.h"

namespace overlay {

template <typename Lanes>
class LanesWorker final : public AeadWorker {
 public:
  LanesWorker() {
    if (OPENSSL_KERNEL.isAvailable()) single_ = OPENSSL_KERNEL.create();
  }

  void sealBatch(const uint8_t* key, AeadMessage* messages, size_t count) override {
    if (isForSingle(messages, count)) return single_->sealBatch(key, messages, count);
    order(messages, count);
    for (size_t first = 0; first < count; first += Lanes::MESSAGES) {
      sealGroup(key, &ordered_[first], std::min(Lanes::MESSAGES, count - first));
    }
    ::explicit_bzero(keys_, sizeof(keys_));
  }

  void openBatch(const uint8_t* key, AeadMessage* messages, size_t count) override {
    if (isForSingle(messages, count)) return single_->openBatch(key, messages, count);
    order(messages, count);
    for (size_t first = 0; first < count; first += Lanes::MESSAGES) {
      openGroup(key, &ordered_[first], std::min(Lanes::MESSAGES, count - first));
    }
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
    std::sort(ordered_.begin(), ordered_.end(),
              [](const AeadMessage* a, const AeadMessage* b) { return a->length > b->length; });
  }

  void sealGroup(const uint8_t* key, AeadMessage* const* messages, size_t count) {
    uint8_t tags[Lanes::MESSAGES][AEAD_TAG_BYTES];
    std::memset(keys_, 0, sizeof(keys_));
    Lanes::sealBlocks(key, messages, count, keys_);
    Lanes::makeTags(messages, count, keys_, tags);
    for (size_t i = 0; i < count; i++) {
      std::memcpy(messages[i]->bytes + messages[i]->length, tags[i], AEAD_TAG_BYTES);
    }
  }

  void openGroup(const uint8_t* key, AeadMessage* const* messages, size_t count) {
    uint8_t tags[Lanes::MESSAGES][AEAD_TAG_BYTES];
    std::memset(keys_, 0, sizeof(keys_));
    Lanes::keyBlocks(key, messages, count, keys_);
    Lanes::makeTags(messages, count, keys_, tags);
    for (size_t i = 0; i < count; i++) {
      messages[i]->isAuthentic = isEqualTag(tags[i], messages[i]->bytes + messages[i]->length);
    }
    Lanes::openBlocks(key, messages, count);
  }

  std::unique_ptr<AeadWorker> single_;
  std::vector<AeadMessage*> ordered_;
  uint8_t keys_[Lanes::MESSAGES][CHACHA_BLOCK_BYTES];
};

// AeadKernel::makeTag: the tag of the last of as many equal messages as make a group, so that every part of
// the kernel is seen.
template <typename Lanes>
void makeTagInLanes(const uint8_t* polyKey, const AeadMessage& message, uint8_t* tag) {
  uint8_t keys[Lanes::MESSAGES][CHACHA_BLOCK_BYTES] = {};
  uint8_t tags[Lanes::MESSAGES][AEAD_TAG_BYTES];
  const AeadMessage* messages[Lanes::MESSAGES];
  for (size_t i = 0; i < Lanes::MESSAGES; i++) {
    messages[i] = &message;
    std::memcpy(keys[i], polyKey, POLY_KEY_BYTES);
  }
  Lanes::makeTags(messages, Lanes::MESSAGES, keys, tags);
  std::memcpy(tag, tags[Lanes::MESSAGES - 1], AEAD_TAG_BYTES);
}

}  // namespace overlay
