// Matrix products of bf16 on AMX tiles, for Sapphire Rapids and later.
//
// Bit rule: every element of c is one chain of tile products over k in ascending steps of 32, the
// last padded with zeros, begun at 0 or, when accumulating, at the old c. Blocks and threads only
// decide where the f32 value waits between two steps, so its bits depend on its row of a, its
// column of b and K alone: not on M, N, its place, nor on threads. As AMX defines it, denormals
// count as zero.
#pragma once
#include "core/tensor.h"
#include "kernels/matmul/matmul.h"

namespace lorikeet {

// MatMulSum for bf16 operands, or MatMul where second is null (kernels/matmul/matmul.h). An
// element's chain goes through the k of the first product, then through that of the second, with
// the bits of one product after the other. CHECKs IsaHas(kAmx) (kernels/isa.h).
void AmxMatMul(const MatMulTerm& first, const MatMulTerm* second, const Tensor& c, bool accumulate);

}  // namespace lorikeet
