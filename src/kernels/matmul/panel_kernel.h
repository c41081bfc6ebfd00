// The register kernels under panel_matmul.cc, one set per dtype and instruction set.
//
// Both dtypes are seen as 32-bit words: an f32, or two bf16 that are neighbours along k. A step is
// one word of k. One operand lies in panels: for each step the words of `columns` columns side by
// side. The other's words are broadcast one by one. Every element of the result is one chain of
// fused multiply-adds over the steps in ascending order, so its bits depend on its row, its column
// and K alone.
#pragma once
#include <array>
#include <cstdint>
#include <utility>

#include "core/tensor.h"

namespace lorikeet {

using Word = uint32_t;

// Rows times one panel over `steps` steps. Word (row, step) is rows[row * row_stride + step *
// step_stride]; one of the strides is 1. `prefetch`, where not null: memory to fetch into the L2
// cache meanwhile, one line of 64 bytes a step.
struct PanelTerm {
  const Word* rows = nullptr;
  int64_t row_stride = 0, step_stride = 0;
  const Word* panel = nullptr;
  int64_t steps = 0;
  const void* prefetch = nullptr;
};

// height x width sums, begun at `from` (f32; null: at 0), end at `to` in f32 or bf16, which may be
// `from`. Strides in elements.
struct PanelSums {
  const float* from;
  int64_t from_stride;
  void* to;
  int64_t to_stride;
  DType to_dtype;
};

// Rows times columns that are not packed: column c lies along k at columns + c * stride, or across
// it at columns + k * stride + c. Rows as in PanelTerm, along k.
struct DirectTerm {
  const Word* rows;
  int64_t row_stride;
  const void* columns;
  int64_t stride;
  bool across_k;
  int64_t elements;
};

struct PanelKernel {
  int64_t height;   // most rows of a call
  int64_t lanes;    // columns of a vector
  int64_t vectors;  // most vectors of columns of a call

  int64_t columns() const { return lanes * vectors; }

  // The terms one after another (at most two) into height x width sums. The panels' rows are as
  // wide as width rounded up to whole vectors.
  void (*multiply)(const PanelTerm* terms, int64_t num_terms, int64_t height, int64_t width,
                   const PanelSums& sums);
  // A panel of `width` columns from `elements` of k each, rounded up to whole vectors and words
  // with zeros. Column c lies along k at from + c * stride ...
  void (*pack_along_k)(const void* from, int64_t stride, int64_t width, int64_t elements, Word* to);
  // ... or across it, at from + k * stride + c.
  void (*pack_across_k)(const void* from, int64_t stride, int64_t width, int64_t elements,
                        Word* to);
  // Up to `height` rows that lie across k (as above) as broadcasts want them: `height` words a
  // step. Null where words need no packing for that. May write 16 words past the end.
  void (*pack_rows)(const void* from, int64_t stride, int64_t rows, int64_t elements, Word* to);

  // The same sums for few rows (at most direct_height, and as many columns as there are): columns
  // stream by once. Null where packing is as good.
  int64_t direct_height;
  void (*multiply_direct)(const DirectTerm* terms, int64_t num_terms, int64_t height, int64_t width,
                          const PanelSums& sums);
};

const PanelKernel& F32PanelKernel();       // for the best target that Highway finds
const PanelKernel& Bfloat16PanelKernel();  // needs AVX512-BF16: CHECKs IsaHas(kAvx512Bf16)

// A table by rows - 1 and vectors of columns - 1: Kernel::Multiply<rows, vectors>, which is called
// as PanelKernel's `multiply` but without a height.
template <class Kernel, int kRows, int... kVectors>
constexpr auto MultiplyRow(std::integer_sequence<int, kVectors...>) {
  return std::array{&Kernel::template Multiply<kRows, kVectors + 1>...};
}
template <class Kernel, int kVectors, int... kRows>
constexpr auto MultiplyTable(std::integer_sequence<int, kRows...>) {
  return std::array{MultiplyRow<Kernel, kRows + 1>(std::make_integer_sequence<int, kVectors>())...};
}

// PanelKernel's multiply_direct of bf16 pairs (panel_direct.cc).
constexpr int64_t kDirectHeight = 4;
void MultiplyDirect(const DirectTerm* terms, int64_t num_terms, int64_t height, int64_t width,
                    const PanelSums& sums);

}  // namespace lorikeet
