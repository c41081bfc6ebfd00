// The logistic function, for the gate of a shared expert. C = f32|bf16, the compute dtype.
#pragma once
#include "core/tensor.h"

namespace lorikeet {

// gates = 1 / (1 + e^-logits), both f32 of one size; NaN stays NaN. They may be one tensor.
void SigmoidForward(const Tensor& logits, const Tensor& gates);

// dlogits = C(dgates * gates * (1 - gates)); dgates and gates f32, dlogits C, of one size.
void SigmoidBackward(const Tensor& dgates, const Tensor& gates, const Tensor& dlogits);

}  // namespace lorikeet
