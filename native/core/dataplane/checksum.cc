#include "checksum.h"

#include <cstring>

namespace overlay {
namespace {

// Words of 32 bits into sums of 64: four at a time without a carry to wait for, in a form that compilers
// turn into vector code.
constexpr size_t LANES = 8;
constexpr size_t STRIDE = LANES * sizeof(uint32_t);

struct Lanes {
  uint64_t sums[LANES] = {};

  void add(const uint32_t* words) {
    for (size_t lane = 0; lane < LANES; lane++) sums[lane] += words[lane];
  }
  uint64_t total() const {
    uint64_t sum = 0;
    for (const uint64_t lane : sums) sum += lane;
    return sum;
  }
};

// Fewer than STRIDE bytes. At most 2^35, so sums of many parts stay far from overflow.
uint64_t sumTail(const uint8_t* bytes, size_t size) {
  uint32_t words[LANES] = {};
  std::memcpy(words, bytes, size);
  uint64_t sum = 0;
  for (const uint32_t word : words) sum += word;
  return sum;
}

}  // namespace

uint64_t addChecksum(uint64_t sum, const uint8_t* bytes, size_t size) {
  Lanes lanes;
  size_t at = 0;
  for (; at + STRIDE <= size; at += STRIDE) {
    uint32_t words[LANES];
    std::memcpy(words, bytes + at, STRIDE);
    lanes.add(words);
  }
  return sum + lanes.total() + sumTail(bytes + at, size - at);
}

uint64_t copyAndAddChecksum(uint64_t sum, uint8_t* to, const uint8_t* from, size_t size) {
  Lanes lanes;
  size_t at = 0;
  for (; at + STRIDE <= size; at += STRIDE) {
    uint32_t words[LANES];
    std::memcpy(words, from + at, STRIDE);
    std::memcpy(to + at, words, STRIDE);
    lanes.add(words);
  }
  if (at < size) std::memcpy(to + at, from + at, size - at);
  return sum + lanes.total() + sumTail(from + at, size - at);
}

uint64_t addPseudoHeader(uint64_t sum, const uint8_t* addresses, size_t addressBytes, uint8_t protocol, size_t size) {
  const uint8_t rest[8] = {static_cast<uint8_t>(size >> 24), static_cast<uint8_t>(size >> 16),
                           static_cast<uint8_t>(size >> 8),  static_cast<uint8_t>(size),
                           0, 0, 0, protocol};
  return addChecksum(addChecksum(sum, addresses, addressBytes), rest, sizeof(rest));
}

uint16_t foldChecksum(uint64_t sum) {
  sum = (sum & 0xffff'ffff) + (sum >> 32);
  sum = (sum & 0xffff'ffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

}  // namespace overlay
