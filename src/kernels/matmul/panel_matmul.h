// Matrix products by register kernels of our own: f32 on every CPU, bf16 on those with AVX512-BF16.
//
// Bit rule: every element of c is one chain of fused multiply-adds (of pairs, in bf16) over k in
// ascending order, begun at 0 or, when accumulating, at the old c; a second product continues it.
// Blocks and threads only decide where the f32 value waits between two steps. So its bits depend on
// its row of a, its column of b and K alone. Where the CPU has them, bf16 pairs are multiplied by
// VDPBF16PS, for which denormals count as zero.
#pragma once
#include "core/tensor.h"
#include "kernels/matmul/matmul.h"

namespace lorikeet {

bool PanelMatMulTakes(DType operands);

// MatMul and MatMulSum (kernels/matmul/matmul.h) for operands that PanelMatMulTakes. second may be
// null.
void PanelMatMul(const MatMulTerm& first, const MatMulTerm* second, const Tensor& c,
                 bool accumulate);

}  // namespace lorikeet
