// ChaCha20 in 16 lanes, each any block of any message under one key. Only for x86-64.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "aead.h"
#include "avx512-lanes.h"
#include "scalar.h"

namespace overlay {
namespace avx512 {

// Blocks of key stream and what they are exclusive-ored with: `at` gets the bytes of `mask`.
struct Blocks {
  alignas(64) uint32_t number[LANES_32] = {};
  alignas(64) uint32_t counterLow[LANES_32] = {};
  alignas(64) uint32_t counterHigh[LANES_32] = {};
  alignas(64) uint8_t* at[LANES_32];
  alignas(64) uint64_t mask[LANES_32];
  size_t count = 0;
};

AVX512_INLINE void quarterRound(__m512i& a, __m512i& b, __m512i& c, __m512i& d) {
  a = _mm512_add_epi32(a, b), d = _mm512_maskz_rol_epi32(0xffff, _mm512_xor_si512(d, a), 16);
  c = _mm512_add_epi32(c, d), b = _mm512_maskz_rol_epi32(0xffff, _mm512_xor_si512(b, c), 12);
  a = _mm512_add_epi32(a, b), d = _mm512_maskz_rol_epi32(0xffff, _mm512_xor_si512(d, a), 8);
  c = _mm512_add_epi32(c, d), b = _mm512_maskz_rol_epi32(0xffff, _mm512_xor_si512(b, c), 7);
}

// 16 vectors of word i of all lanes become 16 vectors of all words of lane i.
AVX512_INLINE void transpose(__m512i (&x)[16]) {
  __m512i t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_maskz_unpacklo_epi32(0xffff, x[i], x[i + 1]);
    t[i + 1] = _mm512_maskz_unpackhi_epi32(0xffff, x[i], x[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    x[i] = _mm512_maskz_unpacklo_epi64(0xff, t[i], t[i + 2]);
    x[i + 1] = _mm512_maskz_unpackhi_epi64(0xff, t[i], t[i + 2]);
    x[i + 2] = _mm512_maskz_unpacklo_epi64(0xff, t[i + 1], t[i + 3]);
    x[i + 3] = _mm512_maskz_unpackhi_epi64(0xff, t[i + 1], t[i + 3]);
  }
  // x[4q + r] holds, in its quarter k, words 4q to 4q + 3 of lane 4k + r.
  for (int r = 0; r < 4; r++) {
    t[r] = _mm512_maskz_shuffle_i32x4(0xffff, x[r], x[4 + r], 0x44);
    t[4 + r] = _mm512_maskz_shuffle_i32x4(0xffff, x[r], x[4 + r], 0xee);
    t[8 + r] = _mm512_maskz_shuffle_i32x4(0xffff, x[8 + r], x[12 + r], 0x44);
    t[12 + r] = _mm512_maskz_shuffle_i32x4(0xffff, x[8 + r], x[12 + r], 0xee);
  }
  for (int r = 0; r < 4; r++) {
    x[r] = _mm512_maskz_shuffle_i32x4(0xffff, t[r], t[8 + r], 0x88);
    x[4 + r] = _mm512_maskz_shuffle_i32x4(0xffff, t[r], t[8 + r], 0xdd);
    x[8 + r] = _mm512_maskz_shuffle_i32x4(0xffff, t[4 + r], t[12 + r], 0x88);
    x[12 + r] = _mm512_maskz_shuffle_i32x4(0xffff, t[4 + r], t[12 + r], 0xdd);
  }
}

AVX512 inline void runBlocks(const uint8_t* key, Blocks& blocks) {
  uint32_t words[8];
  std::memcpy(words, key, sizeof(words));
  __m512i initial[16];
  initial[0] = _mm512_set1_epi32(0x61707865);
  initial[1] = _mm512_set1_epi32(0x3320646e);
  initial[2] = _mm512_set1_epi32(0x79622d32);
  initial[3] = _mm512_set1_epi32(0x6b206574);
  for (int i = 0; i < 8; i++) initial[4 + i] = _mm512_set1_epi32(static_cast<int>(words[i]));
  initial[12] = _mm512_load_si512(blocks.number);
  initial[13] = _mm512_setzero_si512();
  initial[14] = _mm512_load_si512(blocks.counterLow);
  initial[15] = _mm512_load_si512(blocks.counterHigh);
  __m512i x[16];
  for (int i = 0; i < 16; i++) x[i] = initial[i];
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
  for (int i = 0; i < 16; i++) x[i] = _mm512_add_epi32(x[i], initial[i]);
  transpose(x);
  for (size_t lane = 0; lane < blocks.count; lane++) {
    uint8_t* const at = blocks.at[lane];
    const __mmask64 mask = blocks.mask[lane];
    const __m512i bytes = _mm512_maskz_loadu_epi8(mask, at);
    _mm512_mask_storeu_epi8(at, mask, _mm512_xor_si512(bytes, x[lane]));
  }
  blocks.count = 0;
}

AVX512_INLINE void addBlock(const uint8_t* key, Blocks& blocks, const AeadMessage& message, uint32_t number,
                            uint8_t* at, size_t size) {
  const size_t lane = blocks.count++;
  blocks.number[lane] = number;
  blocks.counterLow[lane] = static_cast<uint32_t>(message.counter);
  blocks.counterHigh[lane] = static_cast<uint32_t>(message.counter >> 32);
  blocks.at[lane] = at;
  blocks.mask[lane] = _bzhi_u64(UINT64_MAX, static_cast<unsigned>(std::min<size_t>(size, 64)));
  if (blocks.count == LANES_32) runBlocks(key, blocks);
}

// As many lanes at a time as are free, or as the message has blocks left.
AVX512_INLINE void addMessage(const uint8_t* key, Blocks& blocks, const AeadMessage& message) {
  const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i places = _mm512_setr_epi64(0, 64, 128, 192, 256, 320, 384, 448);
  const __m512i counterLow = _mm512_set1_epi32(static_cast<int>(message.counter));
  const __m512i counterHigh = _mm512_set1_epi32(static_cast<int>(message.counter >> 32));
  uint8_t* at = message.bytes;
  uint32_t number = 1;
  for (size_t left = message.length; left > 0;) {
    const size_t first = blocks.count;
    const size_t run = std::min(LANES_32 - first, (left + CHACHA_BLOCK_BYTES - 1) / CHACHA_BLOCK_BYTES);
    const size_t bytes = std::min(left, run * CHACHA_BLOCK_BYTES);
    const auto mask = static_cast<__mmask16>(((1U << run) - 1) << first);
    const int firstNumber = static_cast<int>(number - static_cast<uint32_t>(first));
    const auto firstPlace = reinterpret_cast<long long>(at) - static_cast<long long>(first * CHACHA_BLOCK_BYTES);
    _mm512_mask_store_epi32(blocks.number, mask, _mm512_add_epi32(_mm512_set1_epi32(firstNumber), lanes));
    _mm512_mask_store_epi32(blocks.counterLow, mask, counterLow);
    _mm512_mask_store_epi32(blocks.counterHigh, mask, counterHigh);
    const __m512i low = _mm512_add_epi64(_mm512_set1_epi64(firstPlace), places);
    const __m512i high = _mm512_add_epi64(low, _mm512_set1_epi64(LANES_64 * CHACHA_BLOCK_BYTES));
    _mm512_mask_store_epi64(blocks.at, static_cast<__mmask8>(mask), low);
    _mm512_mask_store_epi64(blocks.at + LANES_64, static_cast<__mmask8>(mask >> LANES_64), high);
    _mm512_mask_store_epi64(blocks.mask, static_cast<__mmask8>(mask), _mm512_set1_epi64(-1));
    _mm512_mask_store_epi64(blocks.mask + LANES_64, static_cast<__mmask8>(mask >> LANES_64), _mm512_set1_epi64(-1));
    const size_t rest = bytes % CHACHA_BLOCK_BYTES;
    if (rest != 0) blocks.mask[first + run - 1] = (1ULL << rest) - 1;
    blocks.count += run;
    number += static_cast<uint32_t>(run);
    at += bytes;
    left -= bytes;
    if (blocks.count == LANES_32) runBlocks(key, blocks);
  }
}

}  // namespace avx512
}  // namespace overlay
