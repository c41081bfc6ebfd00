// A factor for each column of a matrix, and its gradient: DoRA's row lengths of a weight are
// factors of its output's columns. C = f32|bf16, the compute dtype.
#pragma once
#include "core/tensor.h"

namespace lorikeet {

// y[t][n] = factors[n] x[t][n], or += when accumulating. x (T,N) f32|C; y (T,N) f32|C, rounded
// once, f32 when accumulating; y may be x. factors (N) f32.
void ScaleColumns(const Tensor& x, const Tensor& factors, const Tensor& y, bool accumulate = false);

// sums[n] += factors[n] * (sum over T of dy[t][n] x[t][n]), in an order that depends on T only. dy
// (T,N) C, x (T,N) f32, factors and sums (N) f32.
void AddColumnDots(const Tensor& dy, const Tensor& x, const Tensor& factors, const Tensor& sums);

// norms[n] = the Euclidean length of row n of x (N,K) f32, summed in f64.
void RowLengths(const Tensor& x, const Tensor& norms);

}  // namespace lorikeet
