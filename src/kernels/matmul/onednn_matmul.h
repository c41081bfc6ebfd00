// Matrix products by oneDNN: the independent baseline of measurements (plan/machine_probe). Nothing
// else multiplies with it, since its results do not keep the bit rule of kernels/matmul/matmul.h.
#pragma once
#include <string>

#include "core/tensor.h"
#include "kernels/matmul/matmul.h"

namespace lorikeet {

// c (M, N) = op(a) op(b), or c += when accumulating; operands as in MatMul. Throws Error where
// oneDNN has no implementation for them.
void OneDnnMatMul(const Tensor& a, const Tensor& b, const Tensor& c, MatMulKind kind,
                  bool accumulate = false);
std::string OneDnnVersion();  // "oneDNN 2.6.3"

}  // namespace lorikeet
