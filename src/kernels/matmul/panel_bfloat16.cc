#include "core/check.h"
#include "core/round_up.h"
#include "kernels/isa.h"
#include "kernels/matmul/panel_kernel.h"

#if defined(__x86_64__) && defined(__linux__)
#include <immintrin.h>

#include <algorithm>
#include <array>

#include "kernels/matmul/avx512_words-inl.h"

namespace lorikeet {
namespace {

constexpr int kHeight = 6, kVectors = 4;  // 24 sums of 32 registers hide the latency
constexpr int64_t kLanes = 16;

LORIKEET_AVX512 inline __m512bh Pairs(__m512i words) { return reinterpret_cast<__m512bh>(words); }

// Sums of kRows x kColumns vectors, through one term.
template <int kRows, int kColumns, bool kAlongK>
LORIKEET_AVX512 inline void AddTerm(const PanelTerm& term, __m512 (&sums)[kRows][kColumns]) {
  const Word* rows = term.rows;
  const Word* panel = term.panel;
  const int64_t row_stride = kAlongK ? term.row_stride : 1;
  const bool fetches = term.prefetch != nullptr;  // else the line of the panel that is read anyway
  const char* prefetch = static_cast<const char*>(fetches ? term.prefetch : term.panel);
  const int64_t prefetch_step = fetches ? 64 : 0;
  for (int64_t step = 0; step < term.steps; ++step) {
    __m512bh columns[kColumns];  // unrolled throughout, or they would lie in memory
#pragma GCC unroll 4
    for (int c = 0; c < kColumns; ++c) columns[c] = Pairs(_mm512_loadu_si512(panel + c * kLanes));
#pragma GCC unroll 6
    for (int r = 0; r < kRows; ++r) {
      const __m512bh row = Pairs(_mm512_set1_epi32(static_cast<int>(rows[r * row_stride])));
#pragma GCC unroll 4
      for (int c = 0; c < kColumns; ++c) {
        sums[r][c] = _mm512_dpbf16_ps(sums[r][c], row, columns[c]);
      }
    }
    _mm_prefetch(prefetch, _MM_HINT_T2);
    prefetch += prefetch_step;
    panel += kColumns * kLanes;
    rows += kAlongK ? 1 : term.step_stride;
  }
}

// Which columns of the last vector count. Where all do, plain loads and stores are faster.
struct AllLanes {
  LORIKEET_AVX512 __m512 Load(const float* from) const { return _mm512_loadu_ps(from); }
  LORIKEET_AVX512 void Store(__m512 sums, float* to) const { _mm512_storeu_ps(to, sums); }
  LORIKEET_AVX512 void Store(__m512 sums, Bits* to) const {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), Bfloat16(sums));
  }
};
struct SomeLanes {
  __mmask16 mask;
  LORIKEET_AVX512 __m512 Load(const float* from) const { return _mm512_maskz_loadu_ps(mask, from); }
  LORIKEET_AVX512 void Store(__m512 sums, float* to) const {
    _mm512_mask_storeu_ps(to, mask, sums);
  }
  LORIKEET_AVX512 void Store(__m512 sums, Bits* to) const {
    _mm256_mask_storeu_epi16(to, mask, Bfloat16(sums));
  }
};

template <int kRows, int kColumns, class Last>
LORIKEET_AVX512 inline void ReadSums(const PanelSums& s, const Last& last,
                                     __m512 (&sums)[kRows][kColumns]) {
#pragma GCC unroll 6
  for (int r = 0; r < kRows; ++r) {
    const float* from = s.from + r * s.from_stride;
#pragma GCC unroll 4
    for (int c = 0; c + 1 < kColumns; ++c) sums[r][c] = _mm512_loadu_ps(from + c * kLanes);
    sums[r][kColumns - 1] = last.Load(from + (kColumns - 1) * kLanes);
  }
}

template <class To, int kRows, int kColumns, class Last>
LORIKEET_AVX512 inline void WriteSums(const PanelSums& s, const Last& last,
                                      __m512 (&sums)[kRows][kColumns]) {
#pragma GCC unroll 6
  for (int r = 0; r < kRows; ++r) {
    To* to = static_cast<To*>(s.to) + r * s.to_stride;
#pragma GCC unroll 4
    for (int c = 0; c + 1 < kColumns; ++c) AllLanes().Store(sums[r][c], to + c * kLanes);
    last.Store(sums[r][kColumns - 1], to + (kColumns - 1) * kLanes);
  }
}

template <int kRows, int kColumns, class Last>
LORIKEET_AVX512 void MultiplyAs(const PanelTerm* terms, int64_t num_terms, const Last& last,
                                const PanelSums& s) {
  __m512 sums[kRows][kColumns];
  if (s.from != nullptr) {
    ReadSums(s, last, sums);
  } else {
#pragma GCC unroll 6
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
      for (int c = 0; c < kColumns; ++c) sums[r][c] = _mm512_setzero_ps();
    }
  }
  for (int64_t t = 0; t < num_terms; ++t) {
    if (terms[t].step_stride == 1) {
      AddTerm<kRows, kColumns, true>(terms[t], sums);
    } else {
      AddTerm<kRows, kColumns, false>(terms[t], sums);
    }
  }
  if (s.to_dtype == DType::kF32) {
    WriteSums<float>(s, last, sums);
  } else {
    WriteSums<Bits>(s, last, sums);
  }
}

struct RegisterKernel {
  template <int kRows, int kColumns>
  static void Multiply(const PanelTerm* terms, int64_t num_terms, int64_t width,
                       const PanelSums& sums) {
    if (width == kColumns * kLanes) {
      MultiplyAs<kRows, kColumns>(terms, num_terms, AllLanes(), sums);
    } else {
      const SomeLanes last = {LowMask(width - (kColumns - 1) * kLanes)};
      MultiplyAs<kRows, kColumns>(terms, num_terms, last, sums);
    }
  }
};

void MultiplyPanel(const PanelTerm* terms, int64_t num_terms, int64_t height, int64_t width,
                   const PanelSums& sums) {
  static constexpr auto kTable =
      MultiplyTable<RegisterKernel, kVectors>(std::make_integer_sequence<int, kHeight>());
  const int64_t vectors = CeilDiv(width, kLanes);
  kTable[static_cast<size_t>(height - 1)][static_cast<size_t>(vectors - 1)](terms, num_terms, width,
                                                                            sums);
}

// The words that will be packed next, where all columns lie along k: 16 lines of 64 bytes.
inline void PrefetchTile(const Bits* from, int64_t stride) {
  for (int64_t line = 0; line < kLanes; ++line) {
    _mm_prefetch(reinterpret_cast<const char*>(from + line * stride), _MM_HINT_T1);
  }
}

// 16 x 16 words at a time, transposed.
LORIKEET_AVX512 void PackAlongK(const void* from, int64_t stride, int64_t width, int64_t elements,
                                Word* to) {
  const int64_t panel_stride = RoundUp(width, kLanes);
  for (int64_t c = 0; c < width; c += kLanes) {
    const Bits* columns = static_cast<const Bits*>(from) + c * stride;
    for (int64_t k = 0; k < elements; k += 2 * kLanes) {
      Word* words = to + k / 2 * panel_stride + c;
      PrefetchTile(columns + kLanes * stride + k, stride);
      if (k + 2 * kLanes <= elements && c + kLanes <= width) {
        if (LinesCollide(stride * 2)) {
          alignas(64) Bits copy[kLanes * 2 * kLanes];
          CopyLines(columns + k, stride, copy);
          TransposeWords(copy, 64, words, panel_stride * 4);
        } else {
          TransposeWords(columns + k, stride * 2, words, panel_stride * 4);
        }
      } else {
        TransposePart(columns + k, stride, width - c, elements - k, words, panel_stride);
      }
    }
  }
}

// Two rows of k become one of words.
LORIKEET_AVX512 void PackAcrossK(const void* from, int64_t stride, int64_t width, int64_t elements,
                                 Word* to) {
  const int64_t panel_stride = RoundUp(width, kLanes);
  const Bits* row = static_cast<const Bits*>(from);
  for (int64_t k = 0; k < elements; k += 2, row += 2 * stride, to += panel_stride) {
    int64_t c = 0;
    for (; c + 2 * kLanes <= width && k + 1 < elements; c += 2 * kLanes) {
      const TwoVectors words =
          InterleaveRows(_mm512_loadu_si512(row + c), _mm512_loadu_si512(row + stride + c));
      _mm512_storeu_si512(to + c, words.low);
      _mm512_storeu_si512(to + c + kLanes, words.high);
    }
    for (; c < width; c += kLanes) {
      const auto mask = LowMask(width - c);
      const __m256i first = _mm256_maskz_loadu_epi16(mask, row + c);
      const __m256i second = k + 1 < elements ? _mm256_maskz_loadu_epi16(mask, row + stride + c)
                                              : _mm256_setzero_si256();
      _mm512_storeu_si512(to + c, InterleaveWords(first, second));
    }
  }
}

// The same for six rows: their words follow one another without a gap.
LORIKEET_AVX512 void PackRows(const void* from, int64_t stride, int64_t rows, int64_t elements,
                              Word* to) {
  const Bits* row = static_cast<const Bits*>(from);
  const auto mask = static_cast<__mmask8>((1U << rows) - 1);
  for (int64_t k = 0; k < elements; k += 2, row += 2 * stride, to += kHeight) {
    const __m128i first = _mm_maskz_loadu_epi16(mask, row);
    const __m128i second =
        k + 1 < elements ? _mm_maskz_loadu_epi16(mask, row + stride) : _mm_setzero_si128();
    const __m256i words =
        _mm256_set_m128i(_mm_unpackhi_epi16(first, second), _mm_unpacklo_epi16(first, second));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), words);
  }
}

}  // namespace

const PanelKernel& Bfloat16PanelKernel() {
  CHECK(IsaHas(Isa::kAvx512Bf16));
  static constexpr PanelKernel kKernel = {kHeight,       kLanes,        kVectors,
                                          MultiplyPanel, PackAlongK,    PackAcrossK,
                                          PackRows,      kDirectHeight, MultiplyDirect};
  return kKernel;
}

}  // namespace lorikeet
#else
namespace lorikeet {

const PanelKernel& Bfloat16PanelKernel() {
  static constexpr PanelKernel kNone = {};
  CHECK(IsaHas(Isa::kAvx512Bf16));
  return kNone;
}

}  // namespace lorikeet
#endif
