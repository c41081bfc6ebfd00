// SwiGLU (Shazeer, 2020): h = silu(gate) * up. C = f32|bf16, the compute dtype.
#pragma once
#include "core/tensor.h"
#include "kernels/columns.h"

namespace lorikeet {

// gate_c = C(gate), up_c = C(up), h = C(silu(gate_c) * up_c): computed from the rounded values, so
// that h can be recomputed from them. gate and up (T,F) f32; gate_c, up_c and h (T,F) C. In f32
// gate_c and up_c may be gate and up.
void SwigluForward(const Tensor& gate, const Tensor& up, const Tensor& gate_c, const Tensor& up_c,
                   const Tensor& h);

// Recomputes h, bit for bit.
void SwigluRecompute(const Columns& gate_c, const Columns& up_c, const Tensor& h);

// dgate = C(dh * up_c * silu'(gate_c)), dup = C(dh * silu(gate_c)); dh (T,F) f32, dgate and dup
// (T,F) C. Where h (T,F) C is not empty it is recomputed in the same pass (the down projection's
// gradient needs it). dgate may be gate_c, dup may be up_c, h neither.
void SwigluBackward(const Tensor& dh, const Columns& gate_c, const Columns& up_c,
                    const Columns& dgate, const Columns& dup, const Tensor& h);

// The same for rows that are weighted: h = C(weight * silu(gate_c) * up_c), weights (T) f32.
void WeightedSwigluForward(const Tensor& gate_c, const Tensor& up_c, const Tensor& weights,
                           const Tensor& h);

// dgate, dup and h as SwigluBackward has them, with every row's weight; dweights (T) f32 = dh . (h
// of weight 1).
void WeightedSwigluBackward(const Tensor& dh, const Tensor& gate_c, const Tensor& up_c,
                            const Tensor& weights, const Tensor& dgate, const Tensor& dup,
                            const Tensor& h, const Tensor& dweights);

}  // namespace lorikeet
