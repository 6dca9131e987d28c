// What the parts of the AVX-512 kernel share. Only for x86-64.
//
// Functions carry their instruction set with them, so that the rest of the program runs on any processor.
// Some instructions are named in their masked form, with a full mask: compilers emit the plain one, and
// older ones warn about that.
#pragma once

#include <immintrin.h>

#include <cstddef>

#define AVX512 __attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,avx512ifma,bmi2")))
#define AVX512_INLINE \
  __attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,avx512ifma,bmi2"), always_inline)) inline

namespace overlay {

constexpr size_t LANES_32 = 16;
constexpr size_t LANES_64 = 8;

}  // namespace overlay
