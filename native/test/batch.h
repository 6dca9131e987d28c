// Slabs and headers that own their memory, for tests.
#pragma once

#include <string>
#include <vector>

#include "../core/slab.h"

namespace overlay {

class Batch {
 public:
  explicit Batch(size_t slots, size_t stride = 2048, size_t headroom = 16)
      : stride_(stride),
        headroom_(headroom),
        bytes_(slots * stride),
        lengths_(slots),
        remote_(slots * ADDRESS_BYTES),
        local_(slots * ADDRESS_BYTES),
        ports_(slots),
        scopes_(slots),
        tos_(slots) {}

  Slab slab() { return {bytes_.data(), stride_, headroom_, lengths_.size(), lengths_.data()}; }
  DatagramHeaders headers() { return {remote_.data(), ports_.data(), scopes_.data(), local_.data(), tos_.data()}; }

  void setText(size_t slot, const std::string& text) {
    std::copy(text.begin(), text.end(), slab().at(slot));
    lengths_[slot] = static_cast<uint32_t>(text.size());
  }
  std::string text(size_t slot) { return std::string(slab().at(slot), slab().at(slot) + lengths_[slot]); }

 private:
  size_t stride_;
  size_t headroom_;
  std::vector<uint8_t> bytes_;
  std::vector<uint32_t> lengths_;
  std::vector<uint8_t> remote_;
  std::vector<uint8_t> local_;
  std::vector<uint16_t> ports_;
  std::vector<uint32_t> scopes_;
  std::vector<uint8_t> tos_;
};

}  // namespace overlay
