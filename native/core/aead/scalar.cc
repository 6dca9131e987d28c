#include "scalar.h"

#include <endian.h>

#include <algorithm>
#include <cstring>

#include "kernels.h"

namespace overlay {
namespace {

constexpr size_t POLY_BLOCK_BYTES = 16;
constexpr uint64_t MASK_44 = (1ULL << 44) - 1;
constexpr uint64_t MASK_42 = (1ULL << 42) - 1;

using Wide = unsigned __int128;

uint32_t readLe32(const uint8_t* at) {
  uint32_t value = 0;
  std::memcpy(&value, at, sizeof(value));
  return le32toh(value);
}

uint64_t readLe64(const uint8_t* at) {
  uint64_t value = 0;
  std::memcpy(&value, at, sizeof(value));
  return le64toh(value);
}

void writeLe64(uint8_t* at, uint64_t value) {
  value = htole64(value);
  std::memcpy(at, &value, sizeof(value));
}

uint32_t rotate(uint32_t value, int bits) { return (value << bits) | (value >> (32 - bits)); }

void quarterRound(uint32_t& a, uint32_t& b, uint32_t& c, uint32_t& d) {
  a += b, d = rotate(d ^ a, 16);
  c += d, b = rotate(b ^ c, 12);
  a += b, d = rotate(d ^ a, 8);
  c += d, b = rotate(b ^ c, 7);
}

}  // namespace

std::array<uint32_t, 16> chachaState(const uint8_t* key, uint64_t counter, uint32_t block) {
  std::array<uint32_t, 16> state{0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
  for (size_t i = 0; i < 8; i++) state[4 + i] = readLe32(key + 4 * i);
  state[12] = block;
  state[13] = 0;
  state[14] = static_cast<uint32_t>(counter);
  state[15] = static_cast<uint32_t>(counter >> 32);
  return state;
}

void chachaBlock(const std::array<uint32_t, 16>& state, uint8_t* to) {
  std::array<uint32_t, 16> x = state;
  for (int round = 0; round < 10; round++) {
    quarterRound(x[0], x[4], x[8], x[12]);
    quarterRound(x[1], x[5], x[9], x[13]);
    quarterRound(x[2], x[6], x[10], x[14]);
    quarterRound(x[3], x[7], x[11], x[15]);
    quarterRound(x[0], x[5], x[10], x[15]);
    quarterRound(x[1], x[6], x[11], x[12]);
    quarterRound(x[2], x[7], x[8], x[13]);
    quarterRound(x[3], x[4], x[9], x[14]);
  }
  for (size_t i = 0; i < 16; i++) {
    const uint32_t word = htole32(x[i] + state[i]);
    std::memcpy(to + 4 * i, &word, sizeof(word));
  }
}

void chachaXor(const uint8_t* key, uint64_t counter, uint32_t block, uint8_t* bytes, size_t size) {
  std::array<uint32_t, 16> state = chachaState(key, counter, block);
  uint8_t stream[CHACHA_BLOCK_BYTES];
  for (size_t at = 0; at < size; at += CHACHA_BLOCK_BYTES) {
    chachaBlock(state, stream);
    state[12]++;
    const size_t end = std::min(size - at, CHACHA_BLOCK_BYTES);
    for (size_t i = 0; i < end; i++) bytes[at + i] ^= stream[i];
  }
}

Poly1305::Poly1305(const uint8_t* key) : pad_(key + 16) {
  const uint64_t low = readLe64(key) & 0x0ffffffc0fffffff;
  const uint64_t high = readLe64(key + 8) & 0x0ffffffc0ffffffc;
  r_[0] = low & MASK_44;
  r_[1] = ((low >> 44) | (high << 20)) & MASK_44;
  r_[2] = high >> 24;
  // What passes 2^130 comes back times 5, and limbs 1 and 2 stand 2 bits higher than that.
  s_[0] = r_[1] * 20;
  s_[1] = r_[2] * 20;
}

void Poly1305::addBlock(uint64_t low, uint64_t high, uint64_t mark) {
  const uint64_t h0 = h_[0] + (low & MASK_44);
  const uint64_t h1 = h_[1] + (((low >> 44) | (high << 20)) & MASK_44);
  const uint64_t h2 = h_[2] + (high >> 24) + (mark << 40);
  const Wide d0 = static_cast<Wide>(h0) * r_[0] + static_cast<Wide>(h1) * s_[1] + static_cast<Wide>(h2) * s_[0];
  Wide d1 = static_cast<Wide>(h0) * r_[1] + static_cast<Wide>(h1) * r_[0] + static_cast<Wide>(h2) * s_[1];
  Wide d2 = static_cast<Wide>(h0) * r_[2] + static_cast<Wide>(h1) * r_[1] + static_cast<Wide>(h2) * r_[0];
  d1 += static_cast<uint64_t>(d0 >> 44);
  d2 += static_cast<uint64_t>(d1 >> 44);
  h_[0] = (static_cast<uint64_t>(d0) & MASK_44) + 5 * static_cast<uint64_t>(d2 >> 42);
  h_[1] = (static_cast<uint64_t>(d1) & MASK_44) + (h_[0] >> 44);
  h_[2] = static_cast<uint64_t>(d2) & MASK_42;
  h_[0] &= MASK_44;
}

void Poly1305::addPadded(const uint8_t* bytes, size_t size) {
  size_t at = 0;
  for (; at + POLY_BLOCK_BYTES <= size; at += POLY_BLOCK_BYTES)
    addBlock(readLe64(bytes + at), readLe64(bytes + at + 8), 1);
  if (at == size) return;
  uint8_t last[POLY_BLOCK_BYTES] = {};
  std::memcpy(last, bytes + at, size - at);
  addBlock(readLe64(last), readLe64(last + 8), 1);
}

void Poly1305::addLengths(uint64_t size) { addBlock(0, size, 1); }

void Poly1305::addLast(const uint8_t* bytes, size_t size) {
  const size_t whole = size / POLY_BLOCK_BYTES * POLY_BLOCK_BYTES;
  addPadded(bytes, whole);
  if (whole == size) return;
  uint8_t last[POLY_BLOCK_BYTES] = {};
  std::memcpy(last, bytes + whole, size - whole);
  last[size - whole] = 1;
  addBlock(readLe64(last), readLe64(last + 8), 0);
}

void finishPoly1305(const std::array<uint64_t, 3>& sum, const uint8_t* pad, uint8_t* tag) {
  std::array<uint64_t, 3> h = sum;
  // Carried twice, so that every limb is within its bits.
  for (int pass = 0; pass < 2; pass++) {
    h[1] += h[0] >> 44, h[0] &= MASK_44;
    h[2] += h[1] >> 44, h[1] &= MASK_44;
    h[0] += 5 * (h[2] >> 42), h[2] &= MASK_42;
  }
  h[1] += h[0] >> 44, h[0] &= MASK_44;
  // Minus 2^130 - 5, kept if that is not below zero; without a branch.
  const uint64_t g0 = h[0] + 5;
  const uint64_t g1 = h[1] + (g0 >> 44);
  const uint64_t g2 = h[2] + (g1 >> 44);
  const uint64_t keep = 0 - (g2 >> 42);
  const uint64_t h0 = (h[0] & ~keep) | (g0 & MASK_44 & keep);
  const uint64_t h1 = (h[1] & ~keep) | (g1 & MASK_44 & keep);
  const uint64_t h2 = (h[2] & ~keep) | (g2 & MASK_42 & keep);
  const Wide low = static_cast<Wide>(h0 | (h1 << 44)) + readLe64(pad);
  writeLe64(tag, static_cast<uint64_t>(low));
  writeLe64(tag + 8, ((h1 >> 20) | (h2 << 24)) + readLe64(pad + 8) + static_cast<uint64_t>(low >> 64));
}

bool isEqualTag(const uint8_t* a, const uint8_t* b) {
  return ((readLe64(a) ^ readLe64(b)) | (readLe64(a + 8) ^ readLe64(b + 8))) == 0;
}

namespace {

void makeTag(const uint8_t* polyKey, const AeadMessage& message, uint8_t* tag) {
  Poly1305 poly(polyKey);
  poly.addPadded(message.bytes, message.length);
  poly.addLengths(message.length);
  poly.finish(tag);
}

void makeTagUnder(const uint8_t* key, const AeadMessage& message, uint8_t* tag) {
  uint8_t polyKey[CHACHA_BLOCK_BYTES];
  chachaBlock(chachaState(key, message.counter, 0), polyKey);
  makeTag(polyKey, message, tag);
}

class ScalarWorker final : public AeadWorker {
 public:
  void sealBatch(const uint8_t* key, AeadMessage* messages, size_t count) override {
    for (size_t i = 0; i < count; i++) {
      const AeadMessage& message = messages[i];
      chachaXor(key, message.counter, 1, message.bytes, message.length);
      makeTagUnder(key, message, message.bytes + message.length);
    }
  }

  void openBatch(const uint8_t* key, AeadMessage* messages, size_t count) override {
    for (size_t i = 0; i < count; i++) {
      AeadMessage& message = messages[i];
      uint8_t tag[AEAD_TAG_BYTES];
      makeTagUnder(key, message, tag);
      message.isAuthentic = isEqualTag(tag, message.bytes + message.length);
      if (message.isAuthentic) chachaXor(key, message.counter, 1, message.bytes, message.length);
    }
  }
};

}  // namespace

const AeadKernel SCALAR_KERNEL{
    "scalar",
    [] { return true; },
    []() -> std::unique_ptr<AeadWorker> { return std::make_unique<ScalarWorker>(); },
    makeTag,
};

}  // namespace overlay
