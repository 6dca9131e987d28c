#include "checksum.h"

#include <cstring>

namespace overlay {
namespace {

// Two words of 64 bits, of any alignment; compilers have vector code for it on every processor. The low and
// the high halves are summed by themselves, so that there is no carry to wait for.
using Words = uint64_t __attribute__((vector_size(16)));
constexpr size_t STRIDE = sizeof(Words);
constexpr Words LOW_HALF = {0xffff'ffff, 0xffff'ffff};

struct Halves {
  Words low = {};
  Words high = {};

  void add(const Words& words) {
    low += words & LOW_HALF;
    high += words >> 32;
  }
  uint64_t total() const {
    const Words sums = low + high;
    return sums[0] + sums[1];
  }
};

// Fewer than STRIDE bytes. At most 2^35, so sums of many parts stay far from overflow.
uint64_t sumTail(const uint8_t* bytes, size_t size) {
  uint64_t sum = 0;
  size_t at = 0;
  for (; at + 4 <= size; at += 4) {
    uint32_t word = 0;
    std::memcpy(&word, bytes + at, sizeof(word));
    sum += word;
  }
  uint32_t last = 0;
  if (at < size) std::memcpy(&last, bytes + at, size - at);
  return sum + last;
}

}  // namespace

uint64_t addChecksum(uint64_t sum, const uint8_t* bytes, size_t size) {
  Halves halves;
  size_t at = 0;
  for (; at + STRIDE <= size; at += STRIDE) {
    Words words;
    std::memcpy(&words, bytes + at, STRIDE);
    halves.add(words);
  }
  return sum + halves.total() + sumTail(bytes + at, size - at);
}

uint64_t copyAndAddChecksum(uint64_t sum, uint8_t* to, const uint8_t* from, size_t size) {
  Halves halves;
  size_t at = 0;
  for (; at + STRIDE <= size; at += STRIDE) {
    Words words;
    std::memcpy(&words, from + at, STRIDE);
    std::memcpy(to + at, &words, STRIDE);
    halves.add(words);
  }
  if (at < size) std::memcpy(to + at, from + at, size - at);
  return sum + halves.total() + sumTail(from + at, size - at);
}

uint64_t addPseudoHeader(uint64_t sum, const uint8_t* addresses, size_t addressBytes, uint8_t protocol, size_t size) {
  const uint8_t rest[8] = {static_cast<uint8_t>(size >> 24),
                           static_cast<uint8_t>(size >> 16),
                           static_cast<uint8_t>(size >> 8),
                           static_cast<uint8_t>(size),
                           0,
                           0,
                           0,
                           protocol};
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
