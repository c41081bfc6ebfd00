// Conversions of dtype and layout, and simple sums and scalings.
// C = f32|bf16, the compute dtype. Roundings are to nearest even; NaN stays NaN.
#pragma once
#include "core/tensor.h"

namespace lorikeet {

// x = 0, of any dtype.
void Zero(const Tensor& x);

// to = from, element by element: from f32|bf16|f16 into f32|bf16|f16 of the same size.
void Convert(const Tensor& from, const Tensor& to);

// out (N,M) = the transpose of in (M,N), both f32 or both bf16.
void Transpose(const Tensor& in, const Tensor& out);

// out = C(scale * in) and out_t its transpose, in one pass. in (T,R) f32, out (T,R) C, out_t (R,T)
// C; either of the outputs may be empty.
void ScaleCastTranspose(const Tensor& in, float scale, const Tensor& out, const Tensor& out_t);

// y[t] += bias. y (T,N) f32, bias (N) f32.
void AddBias(const Tensor& y, const Tensor& bias);

// dst += src, both f32 of the same size.
void AddInto(const Tensor& dst, const Tensor& src);

// x *= factor, f32.
void Scale(const Tensor& x, float factor);

// sums[n] += sum over T of x[t][n], in an order that depends on T only. x (T,N) f32|bf16, sums (N)
// f32.
void ColumnSums(const Tensor& x, const Tensor& sums);

}  // namespace lorikeet
