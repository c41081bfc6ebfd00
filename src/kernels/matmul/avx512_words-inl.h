// Moves of 32-bit words and of bf16 that AVX-512 kernels share. Included by x86 kernels only.
#pragma once
#include <immintrin.h>

#include <algorithm>
#include <cstdint>

#if defined(__GNUC__) && !defined(__clang__)  // g++ 12 takes its own intrinsics for uninitialised
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

#define LORIKEET_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))

namespace lorikeet {
namespace {

using Bits = uint16_t;  // a bf16

// The low n of 16 lanes.
inline __mmask16 LowMask(int64_t n) {
  return static_cast<__mmask16>(n >= 16 ? 0xFFFFU : n <= 0 ? 0U : (1U << n) - 1U);
}

// The low n of 32 lanes.
inline __mmask32 LowMask32(int64_t n) { return n >= 32 ? ~0U : n <= 0 ? 0U : (1U << n) - 1U; }

// Sixteen sums, rounded to bf16 (nearest even).
LORIKEET_AVX512 inline __m256i Bfloat16(__m512 sums) {
  return reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(sums));
}

// Two rows of 16 bf16 become one of 16 pairs.
LORIKEET_AVX512 inline __m512i InterleaveWords(__m256i first, __m256i second) {
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24,
                                         8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  const __m512i both = _mm512_inserti64x4(_mm512_castsi256_si512(first), second, 1);
  return _mm512_permutexvar_epi16(order, both);
}

// Two rows of 32 bf16 become two vectors of 16 pairs.
struct TwoVectors {
  __m512i low, high;
};
LORIKEET_AVX512 inline TwoVectors InterleaveRows(__m512i first, __m512i second) {
  const __m512i low = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8,
                                       39, 7, 38, 6, 37, 5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
  const __m512i high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
  return {_mm512_permutex2var_epi16(first, low, second),
          _mm512_permutex2var_epi16(first, high, second)};
}

// The 16 bytes at `from` of rows j, 4 + j, 8 + j and 12 + j, one in each lane. The lanes are filled
// by loads, which leaves the shuffle port to the transposition.
LORIKEET_AVX512 inline __m512i GatherLanes(const char* from, int64_t stride) {
  __m512i lanes = _mm512_castsi128_si512(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  for (int lane = 1; lane < 4; ++lane) {
    const auto* row = reinterpret_cast<const __m128i*>(from + 4 * lane * stride);
    lanes = _mm512_mask_broadcast_i32x4(lanes, static_cast<__mmask16>(0xF << (4 * lane)),
                                        _mm_loadu_si128(row));
  }
  return lanes;
}

struct FourVectors {
  __m512i at[4];
};
// Four words of each of 16 rows become four vectors of 16: one step each. Stride in bytes.
LORIKEET_AVX512 inline FourVectors FourSteps(const char* from, int64_t stride) {
  const __m512i row0 = GatherLanes(from, stride), row1 = GatherLanes(from + stride, stride);
  const __m512i row2 = GatherLanes(from + 2 * stride, stride);
  const __m512i row3 = GatherLanes(from + 3 * stride, stride);
  const __m512i low01 = _mm512_unpacklo_epi32(row0, row1);
  const __m512i low23 = _mm512_unpacklo_epi32(row2, row3);
  const __m512i high01 = _mm512_unpackhi_epi32(row0, row1);
  const __m512i high23 = _mm512_unpackhi_epi32(row2, row3);
  return {{_mm512_unpacklo_epi64(low01, low23), _mm512_unpackhi_epi64(low01, low23),
           _mm512_unpacklo_epi64(high01, high23), _mm512_unpackhi_epi64(high01, high23)}};
}

// Transposes 16 x 16 words; strides in bytes. `to` may not overlap `from`.
LORIKEET_AVX512 inline void TransposeWords(const void* from, int64_t stride, void* to,
                                           int64_t to_stride) {
  const char* in = static_cast<const char*>(from);
  char* out = static_cast<char*>(to);
  for (int64_t four = 0; four < 4; ++four, in += 16) {
    const FourVectors steps = FourSteps(in, stride);
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; ++i, out += to_stride) _mm512_storeu_si512(out, steps.at[i]);
  }
}

// Lines this many bytes apart meet in few sets of the first cache: 16 of them drive each other out
// before all their words are taken. They are better copied first.
inline bool LinesCollide(int64_t stride) { return stride % 2048 == 0; }

// 16 lines of 32 bf16, `stride` elements apart.
LORIKEET_AVX512 inline void CopyLines(const Bits* from, int64_t stride, Bits* to) {
#pragma GCC unroll 16
  for (int64_t r = 0; r < 16; ++r) {
    _mm512_store_si512(to + r * 32, _mm512_loadu_si512(from + r * stride));
  }
}

// The same for up to 16 rows of up to 32 bf16 each, padded with zeros. Strides in elements.
LORIKEET_AVX512 inline void CopyPart(const Bits* from, int64_t stride, int64_t rows,
                                     int64_t elements, Bits* to, int64_t to_stride) {
  const __mmask32 mask = LowMask32(elements);
  for (int64_t r = 0; r < 16; ++r) {
    const __m512i row =
        r < rows ? _mm512_maskz_loadu_epi16(mask, from + r * stride) : _mm512_setzero_si512();
    _mm512_storeu_si512(to + r * to_stride, row);
  }
}

// TransposeWords of CopyPart, but rows of `to` past the last element are not written. Strides in
// elements and in words.
LORIKEET_AVX512 inline void TransposePart(const Bits* from, int64_t stride, int64_t rows,
                                          int64_t elements, uint32_t* to, int64_t to_stride) {
  alignas(64) Bits copy[16 * 32];
  alignas(64) uint32_t words[16 * 16];
  CopyPart(from, stride, rows, elements, copy, 32);
  TransposeWords(copy, 64, words, 64);
  for (int64_t step = 0; step < std::min<int64_t>(16, (elements + 1) / 2); ++step) {
    _mm512_storeu_si512(to + step * to_stride, _mm512_load_si512(words + step * 16));
  }
}

}  // namespace
}  // namespace lorikeet
