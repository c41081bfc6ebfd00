// The register kernels under panel_matmul.cc, one set per dtype and instruction set.
//
// Both dtypes are seen as 32-bit words: an f32, or two bf16 that are neighbours along k. A step is
// one word of k. One operand lies in panels: for each step the words of `columns` columns side by
// side. The other's words are broadcast one by one. Every element of the result is one chain of
// fused multiply-adds over the steps in ascending order, so its bits depend on its row, its column
// and K alone.
#pragma once
#include <cstdint>

#include "core/tensor.h"

namespace lorikeet {

using Word = uint32_t;

// Rows times one panel over `steps` steps. Word (row, step) is rows[row * row_stride + step *
// step_stride]; one of the strides is 1.
struct PanelTerm {
  const Word* rows;
  int64_t row_stride, step_stride;
  const Word* panel;
  int64_t steps;
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
};

const PanelKernel& F32PanelKernel();       // for the best target that Highway finds
const PanelKernel& Bfloat16PanelKernel();  // needs AVX512-BF16: CHECKs IsaHas(kAvx512Bf16)

}  // namespace lorikeet
