#include <algorithm>
#include <cstring>

#include "core/check.h"
#include "core/round_up.h"
#include "kernels/matmul/panel_kernel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matmul/panel_f32.cc"
#include <hwy/foreach_target.h>
// foreach_target.h first
#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lorikeet::HWY_NAMESPACE {
namespace {

// With 32 registers 6 x 4 sums, with 16 of them 6 x 2: they hide the latency of the additions.
#if HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM_A64
constexpr int kVectors = 4;
#else
constexpr int kVectors = 2;
#endif
constexpr int kHeight = 6;

template <int kRows, int kColumns, bool kAlongK>
HWY_INLINE void AddTerm(const PanelTerm& term, Vec (&sums)[kRows][kColumns]) {
  const int64_t N = Lanes();
  const auto* rows = reinterpret_cast<const float*>(term.rows);
  const auto* panel = reinterpret_cast<const float*>(term.panel);
  const int64_t row_stride = kAlongK ? term.row_stride : 1;
  for (int64_t step = 0; step < term.steps; ++step) {
    Vec columns[kColumns];
    HWY_UNROLL(4)
    for (int c = 0; c < kColumns; ++c) columns[c] = Load(panel + c * N);
    HWY_UNROLL(6)
    for (int r = 0; r < kRows; ++r) {
      const Vec row = Set(rows[r * row_stride]);
      HWY_UNROLL(4)
      for (int c = 0; c < kColumns; ++c) sums[r][c] = hn::MulAdd(row, columns[c], sums[r][c]);
    }
    panel += kColumns * N;
    rows += kAlongK ? 1 : term.step_stride;
  }
}

template <int kRows, int kColumns, class Last>
HWY_INLINE void ReadSums(const PanelSums& s, const Last& last, Vec (&sums)[kRows][kColumns]) {
  const int64_t N = Lanes();
  for (int r = 0; r < kRows; ++r) {
    if (s.from == nullptr) {
      for (int c = 0; c < kColumns; ++c) sums[r][c] = Set(0);
      continue;
    }
    const float* from = s.from + r * s.from_stride;
    for (int c = 0; c < kColumns; ++c) {
      sums[r][c] = c + 1 < kColumns ? Load(from + c * N) : last.Load(from + c * N);
    }
  }
}

template <int kRows, int kColumns, class Last>
HWY_INLINE void WriteSums(const PanelSums& s, const Last& last, Vec (&sums)[kRows][kColumns]) {
  CHECK(s.to_dtype == DType::kF32);
  const int64_t N = Lanes();
  for (int r = 0; r < kRows; ++r) {
    float* to = static_cast<float*>(s.to) + r * s.to_stride;
    for (int c = 0; c + 1 < kColumns; ++c) Store(sums[r][c], to + c * N);
    last.Store(sums[r][kColumns - 1], to + (kColumns - 1) * N);
  }
}

struct RegisterKernel {
  template <int kRows, int kColumns>
  static void Multiply(const PanelTerm* terms, int64_t num_terms, int64_t width,
                       const PanelSums& s) {
    Vec sums[kRows][kColumns];
    const int64_t rest = width - (kColumns - 1) * Lanes();  // columns of the last vector
    if (rest == Lanes()) {
      ReadSums(s, Whole(), sums);
    } else {
      ReadSums(s, Part{rest}, sums);
    }
    for (int64_t t = 0; t < num_terms; ++t) {
      if (terms[t].step_stride == 1) {
        AddTerm<kRows, kColumns, true>(terms[t], sums);
      } else {
        AddTerm<kRows, kColumns, false>(terms[t], sums);
      }
    }
    if (rest == Lanes()) {
      WriteSums(s, Whole(), sums);
    } else {
      WriteSums(s, Part{rest}, sums);
    }
  }
};

void MultiplyPanel(const PanelTerm* terms, int64_t num_terms, int64_t height, int64_t width,
                   const PanelSums& sums) {
  static constexpr auto kTable =
      MultiplyTable<RegisterKernel, kVectors>(std::make_integer_sequence<int, kHeight>());
  const int64_t vectors = CeilDiv(width, Lanes());
  kTable[static_cast<size_t>(height - 1)][static_cast<size_t>(vectors - 1)](terms, num_terms, width,
                                                                            sums);
}

// Four columns at a time, interleaved; the last ones one by one.
void PackAlongK(const void* from, int64_t stride, int64_t width, int64_t elements, Word* to) {
  const int64_t N = Lanes(), panel_stride = RoundUp(width, N);
  const auto* columns = static_cast<const float*>(from);
  auto* panel = reinterpret_cast<float*>(to);
  const int64_t fours = width / 4 * 4, whole = elements / N * N;
  HWY_ALIGN float words[4 * HWY_MAX_BYTES / sizeof(float)];
  for (int64_t c = 0; c < fours; c += 4) {
    const float* at = columns + c * stride;
    for (int64_t k = 0; k < whole; k += N) {
      hn::StoreInterleaved4(Load(at + k), Load(at + stride + k), Load(at + 2 * stride + k),
                            Load(at + 3 * stride + k), F32(), words);
      for (int64_t i = 0; i < N; ++i) {
        std::memcpy(panel + (k + i) * panel_stride + c, words + 4 * i, 16);
      }
    }
    for (int64_t k = whole; k < elements; ++k) {
      for (int64_t i = 0; i < 4; ++i) panel[k * panel_stride + c + i] = at[i * stride + k];
    }
  }
  for (int64_t c = fours; c < panel_stride; ++c) {
    for (int64_t k = 0; k < elements; ++k) {
      panel[k * panel_stride + c] = c < width ? columns[c * stride + k] : 0.0F;
    }
  }
}

void PackAcrossK(const void* from, int64_t stride, int64_t width, int64_t elements, Word* to) {
  const int64_t panel_stride = RoundUp(width, Lanes());
  const auto* row = static_cast<const float*>(from);
  auto* panel = reinterpret_cast<float*>(to);
  for (int64_t k = 0; k < elements; ++k, row += stride, panel += panel_stride) {
    ForVectors(width, [=](auto lanes, int64_t c)
                          HWY_ATTR { lanes.Store(lanes.Load(row + c), panel + c); });
    std::fill(panel + width, panel + panel_stride, 0.0F);
  }
}

const PanelKernel& Kernel() {
  static const PanelKernel kernel = {kHeight,     Lanes(), kVectors, MultiplyPanel, PackAlongK,
                                     PackAcrossK, nullptr, 0,        nullptr};
  return kernel;
}

}  // namespace
}  // namespace lorikeet::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lorikeet {
namespace {
HWY_EXPORT(Kernel);
}  // namespace

const PanelKernel& F32PanelKernel() { return HWY_DYNAMIC_DISPATCH(Kernel)(); }

}  // namespace lorikeet
#endif  // HWY_ONCE
