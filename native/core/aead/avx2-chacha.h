// ChaCha20 in 8 lanes of AVX2, each any block of any message under one key. Only for x86-64.
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "aead.h"
#include "scalar.h"

#define AVX2 __attribute__((target("avx2")))
#define AVX2_INLINE __attribute__((target("avx2"), always_inline)) inline

namespace overlay {
namespace avx2 {

constexpr size_t LANES_32 = 8;

// Blocks of key stream and what they are exclusive-ored with: `size` bytes from `at` on.
struct Blocks {
  alignas(32) uint32_t number[LANES_32] = {};
  alignas(32) uint32_t counterLow[LANES_32] = {};
  alignas(32) uint32_t counterHigh[LANES_32] = {};
  uint8_t* at[LANES_32];
  size_t size[LANES_32];
  size_t count = 0;
};

template <int BITS>
AVX2_INLINE __m256i rotate(__m256i value) {
  return _mm256_or_si256(_mm256_slli_epi32(value, BITS), _mm256_srli_epi32(value, 32 - BITS));
}

AVX2_INLINE __m256i rotateBytes(__m256i value, __m256i order) { return _mm256_shuffle_epi8(value, order); }

AVX2_INLINE void quarterRound(__m256i& a, __m256i& b, __m256i& c, __m256i& d, __m256i by16, __m256i by8) {
  a = _mm256_add_epi32(a, b), d = rotateBytes(_mm256_xor_si256(d, a), by16);
  c = _mm256_add_epi32(c, d), b = rotate<12>(_mm256_xor_si256(b, c));
  a = _mm256_add_epi32(a, b), d = rotateBytes(_mm256_xor_si256(d, a), by8);
  c = _mm256_add_epi32(c, d), b = rotate<7>(_mm256_xor_si256(b, c));
}

// 8 vectors of a word of all lanes become 8 vectors of all these words of a lane.
AVX2_INLINE void transpose(__m256i* x) {
  __m256i t[8];
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_epi32(x[i], x[i + 1]);
    t[i + 1] = _mm256_unpackhi_epi32(x[i], x[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    x[i] = _mm256_unpacklo_epi64(t[i], t[i + 2]);
    x[i + 1] = _mm256_unpackhi_epi64(t[i], t[i + 2]);
    x[i + 2] = _mm256_unpacklo_epi64(t[i + 1], t[i + 3]);
    x[i + 3] = _mm256_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  for (int i = 0; i < 4; i++) {
    t[i] = _mm256_permute2x128_si256(x[i], x[4 + i], 0x20);
    t[4 + i] = _mm256_permute2x128_si256(x[i], x[4 + i], 0x31);
  }
  for (int i = 0; i < 8; i++) x[i] = t[i];
}

AVX2_INLINE void xorBlock(uint8_t* at, size_t size, __m256i first, __m256i second) {
  if (size >= CHACHA_BLOCK_BYTES) {
    auto* const to = reinterpret_cast<__m256i*>(at);
    _mm256_storeu_si256(to, _mm256_xor_si256(_mm256_loadu_si256(to), first));
    _mm256_storeu_si256(to + 1, _mm256_xor_si256(_mm256_loadu_si256(to + 1), second));
    return;
  }
  alignas(32) uint8_t stream[CHACHA_BLOCK_BYTES];
  _mm256_store_si256(reinterpret_cast<__m256i*>(stream), first);
  _mm256_store_si256(reinterpret_cast<__m256i*>(stream) + 1, second);
  for (size_t i = 0; i < size; i++) at[i] ^= stream[i];
}

AVX2 inline void runBlocks(const uint8_t* key, Blocks& blocks) {
  const __m256i by16 = _mm256_set_epi8(13, 12, 15, 14, 9, 8, 11, 10, 5, 4, 7, 6, 1, 0, 3, 2,  //
                                       13, 12, 15, 14, 9, 8, 11, 10, 5, 4, 7, 6, 1, 0, 3, 2);
  const __m256i by8 = _mm256_set_epi8(14, 13, 12, 15, 10, 9, 8, 11, 6, 5, 4, 7, 2, 1, 0, 3,  //
                                      14, 13, 12, 15, 10, 9, 8, 11, 6, 5, 4, 7, 2, 1, 0, 3);
  const std::array<uint32_t, 16> state = chachaState(key, 0, 0);
  __m256i initial[16];
  for (size_t i = 0; i < 16; i++) initial[i] = _mm256_set1_epi32(static_cast<int>(state[i]));
  initial[12] = _mm256_load_si256(reinterpret_cast<const __m256i*>(blocks.number));
  initial[14] = _mm256_load_si256(reinterpret_cast<const __m256i*>(blocks.counterLow));
  initial[15] = _mm256_load_si256(reinterpret_cast<const __m256i*>(blocks.counterHigh));
  __m256i x[16];
  for (size_t i = 0; i < 16; i++) x[i] = initial[i];
  for (int round = 0; round < 10; round++) {
    quarterRound(x[0], x[4], x[8], x[12], by16, by8);
    quarterRound(x[1], x[5], x[9], x[13], by16, by8);
    quarterRound(x[2], x[6], x[10], x[14], by16, by8);
    quarterRound(x[3], x[7], x[11], x[15], by16, by8);
    quarterRound(x[0], x[5], x[10], x[15], by16, by8);
    quarterRound(x[1], x[6], x[11], x[12], by16, by8);
    quarterRound(x[2], x[7], x[8], x[13], by16, by8);
    quarterRound(x[3], x[4], x[9], x[14], by16, by8);
  }
  for (size_t i = 0; i < 16; i++) x[i] = _mm256_add_epi32(x[i], initial[i]);
  transpose(x);
  transpose(x + 8);
  for (size_t lane = 0; lane < blocks.count; lane++) xorBlock(blocks.at[lane], blocks.size[lane], x[lane], x[8 + lane]);
  blocks.count = 0;
}

AVX2_INLINE void addBlock(const uint8_t* key, Blocks& blocks, const AeadMessage& message, uint32_t number, uint8_t* at,
                          size_t size) {
  const size_t lane = blocks.count++;
  blocks.number[lane] = number;
  blocks.counterLow[lane] = static_cast<uint32_t>(message.counter);
  blocks.counterHigh[lane] = static_cast<uint32_t>(message.counter >> 32);
  blocks.at[lane] = at;
  blocks.size[lane] = size;
  if (blocks.count == LANES_32) runBlocks(key, blocks);
}

AVX2_INLINE void addMessage(const uint8_t* key, Blocks& blocks, const AeadMessage& message) {
  uint32_t number = 1;
  for (size_t at = 0; at < message.length; at += CHACHA_BLOCK_BYTES) {
    addBlock(key, blocks, message, number++, message.bytes + at, message.length - at);
  }
}

}  // namespace avx2
}  // namespace overlay
