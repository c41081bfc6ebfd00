// GeGLU (Shazeer, 2020) with the tanh form of GELU: h = gelu(gate) * up, gelu(x) = x/2 (1 +
// tanh(sqrt(2/pi) (x + 0.044715 x^3))). C = f32|bf16, the compute dtype.
#pragma once
#include "core/tensor.h"
#include "kernels/columns.h"

namespace lorikeet {

// h = C(gelu(gate) * up); gate, up and h (T,F) C. h may be gate or up.
void GegluForward(const Columns& gate, const Columns& up, const Tensor& h);

// dgate = C(dh * up * gelu'(gate)), dup = C(dh * gelu(gate)); dh (T,F) f32, dgate and dup (T,F) C.
// Where h (T,F) C is not empty it is computed again in the same pass, bit for bit. dgate may be
// gate, dup may be up, h neither.
void GegluBackward(const Tensor& dh, const Columns& gate, const Columns& up, const Columns& dgate,
                   const Columns& dup, const Tensor& h);

}  // namespace lorikeet
