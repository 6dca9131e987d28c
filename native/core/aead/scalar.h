// ChaCha20 and Poly1305 by the book, one block at a time: what the other kernels are measured by, and
// what runs where there is no other.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace overlay {

constexpr size_t CHACHA_BLOCK_BYTES = 64;
constexpr size_t POLY_KEY_BYTES = 32;

// The state of RFC 8439 section 2.3 for a WireGuard nonce.
std::array<uint32_t, 16> chachaState(const uint8_t* key, uint64_t counter, uint32_t block);
// One block of key stream.
void chachaBlock(const std::array<uint32_t, 16>& state, uint8_t* to);
// Exclusive-or of `size` bytes with the key stream, from block `block` on.
void chachaXor(const uint8_t* key, uint64_t counter, uint32_t block, uint8_t* bytes, size_t size);

// The tag from a sum in limbs of 44, 44 and 42 bits, which may exceed them a little, and the key's second half.
void finishPoly1305(const std::array<uint64_t, 3>& sum, const uint8_t* pad, uint8_t* tag);

// Section 2.5. Sums with a 130-bit accumulator in three limbs of 44, 44 and 42 bits.
class Poly1305 {
 public:
  explicit Poly1305(const uint8_t* key);
  // Whole blocks; the last may be short, and then is padded with zeros to a whole one.
  void addPadded(const uint8_t* bytes, size_t size);
  // The lengths of section 2.8, without additional data.
  void addLengths(uint64_t size);
  void finish(uint8_t* tag) const { finishPoly1305(h_, pad_, tag); }
  // The bare function: a short last block has its own end mark.
  void addLast(const uint8_t* bytes, size_t size);

 private:
  void addBlock(uint64_t low, uint64_t high, uint64_t mark);

  std::array<uint64_t, 3> r_;
  std::array<uint64_t, 2> s_;
  std::array<uint64_t, 3> h_{};
  // Of the key, which is the caller's.
  const uint8_t* const pad_;
};

// Constant time.
bool isEqualTag(const uint8_t* a, const uint8_t* b);

}  // namespace overlay
