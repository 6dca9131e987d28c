// Poly1305 of up to 8 messages in AVX2: a lane is a message, two groups of 4 side by side, limbs of 26 bits.
// Only for x86-64.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "avx2-chacha.h"
#include "poly-input.h"

namespace overlay {
namespace avx2 {

constexpr size_t LANES_64 = 4;
constexpr size_t CHUNK_BYTES = 32;
constexpr size_t LIMBS = 5;

using Input = PolyInput<LANES_64, CHUNK_BYTES>;

// r and 5 r, sums, by limb.
struct PolyGroup {
  __m256i r[LIMBS];
  __m256i s[LIMBS];
  __m256i h[LIMBS];
};

AVX2_INLINE __m256i mask26() { return _mm256_set1_epi64x((1 << 26) - 1); }

// Limbs of a 128-bit number in two halves.
AVX2_INLINE void toLimbs(__m256i low, __m256i high, __m256i (&limbs)[LIMBS]) {
  limbs[0] = _mm256_and_si256(low, mask26());
  limbs[1] = _mm256_and_si256(_mm256_srli_epi64(low, 26), mask26());
  limbs[2] = _mm256_and_si256(_mm256_or_si256(_mm256_srli_epi64(low, 52), _mm256_slli_epi64(high, 12)), mask26());
  limbs[3] = _mm256_and_si256(_mm256_srli_epi64(high, 14), mask26());
  limbs[4] = _mm256_srli_epi64(high, 40);
}

// Takes what limb `from` has above 26 bits to the next.
AVX2_INLINE void carry(__m256i (&d)[LIMBS], size_t from) {
  const __m256i over = _mm256_srli_epi64(d[from], 26);
  d[from] = _mm256_and_si256(d[from], mask26());
  if (from + 1 < LIMBS) {
    d[from + 1] = _mm256_add_epi64(d[from + 1], over);
  } else {
    // 2^130 is 5.
    d[0] = _mm256_add_epi64(d[0], _mm256_add_epi64(over, _mm256_slli_epi64(over, 2)));
  }
}

// h = (h + block) r where `lanes` is all ones. Limbs stay below 2^27, as the multiplication needs (2^32).
AVX2_INLINE void multiply(PolyGroup& g, __m256i low, __m256i high, __m256i lanes) {
  __m256i m[LIMBS];
  __m256i d[LIMBS];
  toLimbs(low, high, m);
  m[4] = _mm256_or_si256(m[4], _mm256_set1_epi64x(1 << 24));
  for (size_t i = 0; i < LIMBS; i++) m[i] = _mm256_add_epi64(m[i], g.h[i]);
  for (size_t i = 0; i < LIMBS; i++) {
    d[i] = _mm256_mul_epu32(m[0], g.r[i]);
    for (size_t k = 1; k < LIMBS; k++) {
      const __m256i factor = k <= i ? g.r[i - k] : g.s[LIMBS + i - k];
      d[i] = _mm256_add_epi64(d[i], _mm256_mul_epu32(m[k], factor));
    }
  }
  // Two chains side by side.
  carry(d, 0), carry(d, 3);
  carry(d, 1), carry(d, 4);
  carry(d, 2), carry(d, 0);
  carry(d, 3);
  for (size_t i = 0; i < LIMBS; i++) g.h[i] = _mm256_blendv_epi8(g.h[i], d[i], lanes);
}

AVX2_INLINE __m256i lanesAbove(const size_t (&counts)[LANES_64], size_t index) {
  const auto maskOf = [&](size_t lane) { return index < counts[lane] ? -1LL : 0LL; };
  return _mm256_set_epi64x(maskOf(3), maskOf(2), maskOf(1), maskOf(0));
}

AVX2_INLINE __m256i loadWords(const uint8_t* at) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)); }

// A chunk is two blocks of each message: four words, transposed.
AVX2_INLINE void addChunk(PolyGroup& g, const Input& input, size_t chunk) {
  __m256i x[LANES_64];
  for (size_t lane = 0; lane < LANES_64; lane++) {
    const bool isThere = chunk < input.chunks[lane];
    x[lane] = isThere ? loadWords(input.at[lane] + chunk * CHUNK_BYTES) : _mm256_setzero_si256();
  }
  const __m256i low01 = _mm256_unpacklo_epi64(x[0], x[1]);
  const __m256i high01 = _mm256_unpackhi_epi64(x[0], x[1]);
  const __m256i low23 = _mm256_unpacklo_epi64(x[2], x[3]);
  const __m256i high23 = _mm256_unpackhi_epi64(x[2], x[3]);
  const __m256i lanes = chunk < input.leastChunks ? _mm256_set1_epi64x(-1) : lanesAbove(input.chunks, chunk);
  multiply(g, _mm256_permute2x128_si256(low01, low23, 0x20), _mm256_permute2x128_si256(high01, high23, 0x20), lanes);
  multiply(g, _mm256_permute2x128_si256(low01, low23, 0x31), _mm256_permute2x128_si256(high01, high23, 0x31), lanes);
}

AVX2_INLINE void addTail(PolyGroup& g, const Input& input, size_t block) {
  alignas(32) uint64_t words[2][LANES_64];
  for (size_t lane = 0; lane < LANES_64; lane++) {
    std::memcpy(&words[0][lane], input.tails[lane] + block * POLY_BLOCK_BYTES, 8);
    std::memcpy(&words[1][lane], input.tails[lane] + block * POLY_BLOCK_BYTES + 8, 8);
  }
  multiply(g, loadWords(reinterpret_cast<const uint8_t*>(words[0])),
           loadWords(reinterpret_cast<const uint8_t*>(words[1])), lanesAbove(input.tailBlocks, block));
}

// `keys`: the first 32 bytes of each 64; of all lanes, also those without a message.
AVX2_INLINE void beginGroup(PolyGroup& g, const uint8_t (*keys)[CHACHA_BLOCK_BYTES]) {
  alignas(32) uint64_t words[2][LANES_64];
  for (size_t lane = 0; lane < LANES_64; lane++) {
    std::memcpy(&words[0][lane], keys[lane], 8);
    std::memcpy(&words[1][lane], keys[lane] + 8, 8);
    words[0][lane] &= 0x0ffffffc0fffffff;
    words[1][lane] &= 0x0ffffffc0ffffffc;
  }
  toLimbs(loadWords(reinterpret_cast<const uint8_t*>(words[0])), loadWords(reinterpret_cast<const uint8_t*>(words[1])),
          g.r);
  for (size_t i = 0; i < LIMBS; i++) {
    g.s[i] = _mm256_add_epi64(g.r[i], _mm256_slli_epi64(g.r[i], 2));
    g.h[i] = _mm256_setzero_si256();
  }
}

AVX2_INLINE void finishGroup(const PolyGroup& g, const uint8_t (*keys)[CHACHA_BLOCK_BYTES], size_t count,
                             uint8_t (*tags)[AEAD_TAG_BYTES]) {
  constexpr uint64_t MASK_44 = (1ULL << 44) - 1;
  alignas(32) uint64_t h[LIMBS][LANES_64];
  for (size_t i = 0; i < LIMBS; i++) _mm256_store_si256(reinterpret_cast<__m256i*>(h[i]), g.h[i]);
  for (size_t lane = 0; lane < count; lane++) {
    // Five limbs of 26 bits, at 0, 26, 52, 78 and 104, become three at 0, 44 and 88.
    uint64_t rest = h[0][lane] + (h[1][lane] << 26);
    std::array<uint64_t, 3> sum{};
    sum[0] = rest & MASK_44;
    rest = (rest >> 44) + (h[2][lane] << 8) + (h[3][lane] << 34);
    sum[1] = rest & MASK_44;
    sum[2] = (rest >> 44) + (h[4][lane] << 16);
    finishPoly1305(sum, keys[lane] + 16, tags[lane]);
  }
}

// Tags of up to 8 messages. The two groups go side by side, so that one fills the other's waits.
AVX2 inline void makeTags(const AeadMessage* const* messages, size_t count, const uint8_t (*keys)[CHACHA_BLOCK_BYTES],
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

}  // namespace avx2
}  // namespace overlay
