// Products of few rows: weights stream by once and are transposed in registers, not packed.
#include "kernels/matmul/panel_kernel.h"

#if defined(__x86_64__) && defined(__linux__)
#include <immintrin.h>

#include <algorithm>
#include <array>

#include "kernels/matmul/avx512_words-inl.h"

namespace lorikeet {
namespace {

constexpr int64_t kLanes = 16;         // columns of a vector
constexpr int64_t kTile = 2 * kLanes;  // elements of k that fill 16 words
constexpr int64_t kGroups = 2;         // vectors of columns at once
constexpr int64_t kLine = 64, kPrefetchDistance = 512, kMinPrefetchDistance = 6 << 10,
                  kLargestBlock = 80 << 10;  // bytes

// The sums of kRows rows and 16 columns.
template <int kRows>
struct Sums {
  __m512 at[kRows];
};

template <int kRows>
LORIKEET_AVX512 inline void AddStep(__m512i columns, const Word* rows, int64_t row_stride,
                                    Sums<kRows>& sums) {
#pragma GCC unroll 4
  for (size_t r = 0; r < kRows; ++r) {
    const __m512i row =
        _mm512_set1_epi32(static_cast<int>(rows[static_cast<int64_t>(r) * row_stride]));
    sums.at[r] = _mm512_dpbf16_ps(sums.at[r], reinterpret_cast<__m512bh>(row),
                                  reinterpret_cast<__m512bh>(columns));
  }
}

// 16 columns along k, 32 elements each.
template <int kRows>
LORIKEET_AVX512 inline void AddTile(const Bits* columns, int64_t stride, const Word* rows,
                                    int64_t row_stride, Sums<kRows>& sums) {
  alignas(64) Bits copy[kLanes * kTile];
  if (LinesCollide(stride * 2)) {
    CopyLines(columns, stride, copy);
    columns = copy;
    stride = kTile;
  }
  const char* from = reinterpret_cast<const char*>(columns);
#pragma GCC unroll 4
  for (int64_t four = 0; four < 4; ++four) {
    const FourVectors steps = FourSteps(from + four * 16, stride * 2);
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; ++i) {
      AddStep<kRows>(steps.at[i], rows + four * 4 + static_cast<int64_t>(i), row_stride, sums);
    }
  }
}

// Up to 16 columns along k, fewer than 32 elements each or fewer than 16 columns.
template <int kRows>
LORIKEET_AVX512 inline void AddPart(const Bits* columns, int64_t stride, int64_t width,
                                    int64_t elements, const Word* rows, int64_t row_stride,
                                    Sums<kRows>& sums) {
  alignas(64) Word words[kLanes * kLanes];
  TransposePart(columns, stride, width, elements, words, kLanes);
  const int64_t steps = std::min(kLanes, (elements + 1) / 2);
  for (int64_t i = 0; i < steps; ++i) {
    AddStep<kRows>(_mm512_load_si512(words + i * kLanes), rows + i, row_stride, sums);
  }
}

// Sixteen lines that tiles will reach later, `distance` bytes apart.
inline void Prefetch(const char* line, int64_t distance) {
  for (int64_t i = 0; i < kLanes; ++i) _mm_prefetch(line + i * distance, _MM_HINT_T2);
}

// kGroups x 16 columns (`width` of them) along k, 16 at a time. While they are multiplied, the next
// 16 or more are fetched in the order in which they lie; where those would not fit the L2 cache,
// the same columns further along k.
template <int kRows>
LORIKEET_AVX512 void AddAlongK(const DirectTerm& term, int64_t first, int64_t width,
                               Sums<kRows> (&sums)[kGroups]) {
  const int64_t block = kLanes * term.stride * 2;
  for (int64_t g = 0; g * kLanes < width; ++g) {
    const int64_t column = first + g * kLanes;
    const Bits* tile = static_cast<const Bits*>(term.columns) + column * term.stride;
    const char* next = reinterpret_cast<const char*>(tile) + std::max(block, kMinPrefetchDistance);
    for (int64_t k = 0; k < term.elements; k += kTile, tile += kTile, next += kLanes * kLine) {
      if (block <= kLargestBlock) {
        Prefetch(next, kLine);
      } else {
        Prefetch(reinterpret_cast<const char*>(tile) + kPrefetchDistance, term.stride * 2);
      }
      const Word* rows = term.rows + k / 2;
      if (k + kTile <= term.elements && g * kLanes + kLanes <= width) {
        AddTile<kRows>(tile, term.stride, rows, term.row_stride, sums[g]);
      } else {
        AddPart<kRows>(tile, term.stride, width - g * kLanes, term.elements - k, rows,
                       term.row_stride, sums[g]);
      }
    }
  }
}

// The same for columns across k: pairs of rows are interleaved as they come.
template <int kRows>
LORIKEET_AVX512 void AddAcrossK(const DirectTerm& term, int64_t first, int64_t width,
                                Sums<kRows> (&sums)[kGroups]) {
  static_assert(kGroups == 2);
  const Bits* row = static_cast<const Bits*>(term.columns) + first;
  const bool whole = width == kGroups * kLanes;
  const auto mask =
      static_cast<__mmask32>(LowMask(width) | uint32_t{LowMask(width - kLanes)} << kLanes);
  for (int64_t k = 0; k < term.elements; k += 2, row += 2 * term.stride) {
    const char* ahead = reinterpret_cast<const char*>(row) + kMinPrefetchDistance;
    _mm_prefetch(ahead, _MM_HINT_T1);
    _mm_prefetch(ahead + term.stride * 2, _MM_HINT_T1);
    const TwoVectors words =
        whole ? InterleaveRows(_mm512_loadu_si512(row), _mm512_loadu_si512(row + term.stride))
              : InterleaveRows(_mm512_maskz_loadu_epi16(mask, row),
                               _mm512_maskz_loadu_epi16(mask, row + term.stride));
    AddStep<kRows>(words.low, term.rows + k / 2, term.row_stride, sums[0]);
    AddStep<kRows>(words.high, term.rows + k / 2, term.row_stride, sums[1]);
  }
}

LORIKEET_AVX512 void Write(__m512 sums, __mmask16 mask, const PanelSums& s, int64_t at) {
  if (s.to_dtype == DType::kF32) {
    _mm512_mask_storeu_ps(static_cast<float*>(s.to) + at, mask, sums);
  } else {
    _mm256_mask_storeu_epi16(static_cast<Bits*>(s.to) + at, mask, Bfloat16(sums));
  }
}

template <int kRows>
LORIKEET_AVX512 void MultiplyRows(const DirectTerm* terms, int64_t num_terms, int64_t width,
                                  const PanelSums& s) {
  for (int64_t first = 0; first < width; first += kGroups * kLanes) {
    const int64_t here = std::min(kGroups * kLanes, width - first);
    Sums<kRows> sums[kGroups];
    for (int64_t i = 0; i < kGroups * kRows; ++i) {
      const int64_t g = i / kRows, r = i % kRows, column = first + g * kLanes;
      sums[g].at[r] =
          s.from == nullptr
              ? _mm512_setzero_ps()
              : _mm512_maskz_loadu_ps(LowMask(width - column), s.from + r * s.from_stride + column);
    }
    for (int64_t t = 0; t < num_terms; ++t) {
      const auto add = terms[t].across_k ? AddAcrossK<kRows> : AddAlongK<kRows>;
      add(terms[t], first, here, sums);
    }
    for (int64_t i = 0; i < kGroups * kRows; ++i) {
      const int64_t g = i / kRows, r = i % kRows, column = first + g * kLanes;
      if (column >= width) break;
      Write(sums[g].at[r], LowMask(width - column), s, r * s.to_stride + column);
    }
  }
}

}  // namespace

void MultiplyDirect(const DirectTerm* terms, int64_t num_terms, int64_t height, int64_t width,
                    const PanelSums& sums) {
  constexpr std::array<decltype(&MultiplyRows<1>), kDirectHeight> kByRows = {
      MultiplyRows<1>, MultiplyRows<2>, MultiplyRows<3>, MultiplyRows<4>};
  kByRows[static_cast<size_t>(height - 1)](terms, num_terms, width, sums);
}

}  // namespace lorikeet
#endif
