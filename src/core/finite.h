// A check for numbers that are NaN or infinite.
#pragma once
#include "core/tensor.h"

namespace lorikeet {

// Whether every element of a tensor of f32, f16 or bf16 is finite. True for other dtypes.
bool IsFinite(const Tensor& t);

}  // namespace lorikeet
