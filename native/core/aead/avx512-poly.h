// Poly1305 of up to 16 messages: a lane is a message, two groups of 8 side by side, limbs of 44, 44 and 42
// bits multiplied by the 52-bit instructions (IFMA). Only for x86-64.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "aead.h"
#include "avx512-lanes.h"
#include "poly-input.h"
#include "scalar.h"

namespace overlay {
namespace avx512 {

constexpr size_t CHUNK_BYTES = 64;

// Eight messages.
struct PolyGroup {
  // r and 20 r, sums, by limb.
  __m512i r0, r1, r2, s1, s2;
  __m512i h0, h1, h2;
};

using Input = PolyInput<LANES_64, CHUNK_BYTES>;

AVX512_INLINE __m512i mask44() { return _mm512_set1_epi64((1LL << 44) - 1); }
AVX512_INLINE __m512i mask42() { return _mm512_set1_epi64((1LL << 42) - 1); }

// Limbs of a 128-bit number in two halves.
AVX512_INLINE void toLimbs(__m512i low, __m512i high, __m512i& l0, __m512i& l1, __m512i& l2) {
  l0 = _mm512_and_si512(low, mask44());
  l1 = _mm512_and_si512(
      _mm512_or_si512(_mm512_maskz_srli_epi64(0xff, low, 44), _mm512_maskz_slli_epi64(0xff, high, 20)), mask44());
  l2 = _mm512_maskz_srli_epi64(0xff, high, 24);
}

// h = (h + block) r for the lanes of `lanes`. Limbs stay below 2^45, as the multiplication needs (2^52).
AVX512_INLINE void multiply(PolyGroup& g, __m512i low, __m512i high, __mmask8 lanes) {
  const __m512i zero = _mm512_setzero_si512();
  __m512i m0, m1, m2;
  toLimbs(low, high, m0, m1, m2);
  m0 = _mm512_add_epi64(m0, g.h0);
  m1 = _mm512_add_epi64(m1, g.h1);
  m2 = _mm512_add_epi64(_mm512_or_si512(m2, _mm512_set1_epi64(1LL << 40)), g.h2);
  __m512i lo0 = _mm512_madd52lo_epu64(zero, m0, g.r0);
  __m512i lo1 = _mm512_madd52lo_epu64(zero, m0, g.r1);
  __m512i lo2 = _mm512_madd52lo_epu64(zero, m0, g.r2);
  __m512i hi0 = _mm512_madd52hi_epu64(zero, m0, g.r0);
  __m512i hi1 = _mm512_madd52hi_epu64(zero, m0, g.r1);
  __m512i hi2 = _mm512_madd52hi_epu64(zero, m0, g.r2);
  lo0 = _mm512_madd52lo_epu64(lo0, m1, g.s2);
  lo1 = _mm512_madd52lo_epu64(lo1, m1, g.r0);
  lo2 = _mm512_madd52lo_epu64(lo2, m1, g.r1);
  hi0 = _mm512_madd52hi_epu64(hi0, m1, g.s2);
  hi1 = _mm512_madd52hi_epu64(hi1, m1, g.r0);
  hi2 = _mm512_madd52hi_epu64(hi2, m1, g.r1);
  lo0 = _mm512_madd52lo_epu64(lo0, m2, g.s1);
  lo1 = _mm512_madd52lo_epu64(lo1, m2, g.s2);
  lo2 = _mm512_madd52lo_epu64(lo2, m2, g.r0);
  hi0 = _mm512_madd52hi_epu64(hi0, m2, g.s1);
  hi1 = _mm512_madd52hi_epu64(hi1, m2, g.s2);
  hi2 = _mm512_madd52hi_epu64(hi2, m2, g.r0);
  // The high halves stand 52 bits up: 8 above the next limb, and past limb 2, 10 above 2^130.
  const __m512i t1 = _mm512_add_epi64(_mm512_add_epi64(lo1, _mm512_maskz_slli_epi64(0xff, hi0, 8)),
                                      _mm512_maskz_srli_epi64(0xff, lo0, 44));
  const __m512i t2 = _mm512_add_epi64(_mm512_add_epi64(lo2, _mm512_maskz_slli_epi64(0xff, hi1, 8)),
                                      _mm512_maskz_srli_epi64(0xff, t1, 44));
  const __m512i over = _mm512_add_epi64(_mm512_maskz_srli_epi64(0xff, t2, 42), _mm512_maskz_slli_epi64(0xff, hi2, 10));
  const __m512i t0 =
      _mm512_add_epi64(_mm512_and_si512(lo0, mask44()), _mm512_add_epi64(over, _mm512_maskz_slli_epi64(0xff, over, 2)));
  g.h0 = _mm512_mask_and_epi64(g.h0, lanes, t0, mask44());
  g.h1 = _mm512_mask_add_epi64(g.h1, lanes, _mm512_and_si512(t1, mask44()), _mm512_maskz_srli_epi64(0xff, t0, 44));
  g.h2 = _mm512_mask_and_epi64(g.h2, lanes, t2, mask42());
}

// Eight vectors of a message's words each become eight of all messages' word i.
AVX512_INLINE void transposeWords(__m512i (&x)[8]) {
  __m512i t[8];
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm512_maskz_unpacklo_epi64(0xff, x[i], x[i + 1]);
    t[i + 1] = _mm512_maskz_unpackhi_epi64(0xff, x[i], x[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    for (int k = 0; k < 2; k++) {
      x[i + k] = _mm512_maskz_shuffle_i64x2(0xff, t[i + k], t[i + 2 + k], 0x88);
      x[i + 2 + k] = _mm512_maskz_shuffle_i64x2(0xff, t[i + k], t[i + 2 + k], 0xdd);
    }
  }
  for (int k = 0; k < 4; k++) {
    t[k] = _mm512_maskz_shuffle_i64x2(0xff, x[k], x[4 + k], 0x88);
    t[4 + k] = _mm512_maskz_shuffle_i64x2(0xff, x[k], x[4 + k], 0xdd);
  }
  for (int k = 0; k < 8; k++) x[k] = t[k];
}

AVX512_INLINE __mmask8 lanesAbove(const size_t (&counts)[LANES_64], size_t index) {
  unsigned lanes = 0;
  for (size_t lane = 0; lane < LANES_64; lane++) lanes |= static_cast<unsigned>(index < counts[lane]) << lane;
  return static_cast<__mmask8>(lanes);
}

AVX512_INLINE void addChunk(PolyGroup& g, const Input& input, size_t chunk) {
  __m512i x[8];
  __mmask8 lanes = 0xff;
  if (chunk < input.leastChunks) {
    for (size_t lane = 0; lane < LANES_64; lane++) x[lane] = _mm512_loadu_si512(input.at[lane] + chunk * CHUNK_BYTES);
  } else {
    lanes = lanesAbove(input.chunks, chunk);
    for (size_t lane = 0; lane < LANES_64; lane++) {
      const bool isThere = chunk < input.chunks[lane];
      x[lane] = isThere ? _mm512_loadu_si512(input.at[lane] + chunk * CHUNK_BYTES) : _mm512_setzero_si512();
    }
  }
  // Word 2 b is the low half of block b.
  transposeWords(x);
  multiply(g, x[0], x[1], lanes);
  multiply(g, x[2], x[3], lanes);
  multiply(g, x[4], x[5], lanes);
  multiply(g, x[6], x[7], lanes);
}

AVX512_INLINE void addTail(PolyGroup& g, const Input& input, size_t block) {
  alignas(64) uint64_t low[LANES_64];
  alignas(64) uint64_t high[LANES_64];
  for (size_t lane = 0; lane < LANES_64; lane++) {
    std::memcpy(&low[lane], input.tails[lane] + block * POLY_BLOCK_BYTES, 8);
    std::memcpy(&high[lane], input.tails[lane] + block * POLY_BLOCK_BYTES + 8, 8);
  }
  multiply(g, _mm512_load_si512(low), _mm512_load_si512(high), lanesAbove(input.tailBlocks, block));
}

// `keys`: the first 32 bytes of each 64.
AVX512_INLINE void beginGroup(PolyGroup& g, const uint8_t (*keys)[CHACHA_BLOCK_BYTES]) {
  alignas(64) uint64_t low[LANES_64];
  alignas(64) uint64_t high[LANES_64];
  for (size_t lane = 0; lane < LANES_64; lane++) {
    std::memcpy(&low[lane], keys[lane], 8);
    std::memcpy(&high[lane], keys[lane] + 8, 8);
  }
  const __m512i clampLow = _mm512_set1_epi64(0x0ffffffc0fffffff);
  const __m512i clampHigh = _mm512_set1_epi64(0x0ffffffc0ffffffc);
  toLimbs(_mm512_and_si512(_mm512_load_si512(low), clampLow), _mm512_and_si512(_mm512_load_si512(high), clampHigh),
          g.r0, g.r1, g.r2);
  const __m512i twenty = _mm512_set1_epi64(20);
  g.s1 = _mm512_mullo_epi64(g.r1, twenty);
  g.s2 = _mm512_mullo_epi64(g.r2, twenty);
  g.h0 = g.h1 = g.h2 = _mm512_setzero_si512();
}

AVX512_INLINE void finishGroup(const PolyGroup& g, const uint8_t (*keys)[CHACHA_BLOCK_BYTES], size_t count,
                               uint8_t (*tags)[AEAD_TAG_BYTES]) {
  alignas(64) uint64_t h[3][LANES_64];
  _mm512_store_si512(h[0], g.h0);
  _mm512_store_si512(h[1], g.h1);
  _mm512_store_si512(h[2], g.h2);
  for (size_t lane = 0; lane < count; lane++) {
    const std::array<uint64_t, 3> limbs{h[0][lane], h[1][lane], h[2][lane]};
    finishPoly1305(limbs, keys[lane] + 16, tags[lane]);
  }
}

// Tags of up to 16 messages. The two groups go side by side, so that one fills the other's waits.
AVX512 inline void makeTags(const AeadMessage* const* messages, size_t count, const uint8_t (*keys)[CHACHA_BLOCK_BYTES],
                            uint8_t (*tags)[AEAD_TAG_BYTES]) {
  PolyGroup a;
  PolyGroup b;
  const size_t first = std::min(count, LANES_64);
  const Input left(messages, first);
  beginGroup(a, keys);
  if (count <= LANES_64) {
    for (size_t i = 0; i < left.mostChunks; i++) addChunk(a, left, i);
    for (size_t i = 0; i < left.mostTailBlocks; i++) addTail(a, left, i);
    finishGroup(a, keys, first, tags);
    return;
  }
  const Input right(messages + LANES_64, count - LANES_64);
  beginGroup(b, keys + LANES_64);
  for (size_t i = 0; i < std::max(left.mostChunks, right.mostChunks); i++) {
    addChunk(a, left, i);
    addChunk(b, right, i);
  }
  for (size_t i = 0; i < std::max(left.mostTailBlocks, right.mostTailBlocks); i++) {
    addTail(a, left, i);
    addTail(b, right, i);
  }
  finishGroup(a, keys, first, tags);
  finishGroup(b, keys + LANES_64, count - LANES_64, tags + LANES_64);
}

}  // namespace avx512
}  // namespace overlay
