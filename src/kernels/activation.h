// Activations of MLPs without a gate, and their gradients. C = f32|bf16, the compute dtype.
#pragma once
#include "core/tensor.h"

namespace lorikeet {

// Squared ReLU (So et al., 2021): h = C(max(x, 0)^2). x and h (T,F) C. NaN stays NaN. h may be x.
void SquaredReluForward(const Tensor& x, const Tensor& h);
// dx = C(2 dh max(x, 0)); dh (T,F) f32, dx (T,F) C. Where h (T,F) C is not empty it is computed
// again in the same pass, bit for bit. dx may be x, h neither.
void SquaredReluBackward(const Tensor& dh, const Tensor& x, const Tensor& dx, const Tensor& h);

// GELU in its tanh form: h = C(x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))). As above.
void GeluForward(const Tensor& x, const Tensor& h);
void GeluBackward(const Tensor& dh, const Tensor& x, const Tensor& dx, const Tensor& h);

}  // namespace lorikeet
