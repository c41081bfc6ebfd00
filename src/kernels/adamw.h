// AdamW (Loshchilov and Hutter, 2019) in f32, and the two scans that gradient clipping needs.
#pragma once
#include <cstdint>

#include "core/tensor.h"

namespace lorikeet {

struct AdamWParams {
  double learning_rate = 0;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0;  // decoupled: param *= 1 - learning_rate * weight_decay
  int64_t step = 1;         // number of this update, from 1, for the bias corrections
  double grad_scale = 1;    // factor of grad (clipping)
};

// One update in torch.optim.AdamW's order of operations. All tensors are f32 and of one size; m and
// v are the moments. param_bf16, if not empty, is of that size too and receives the new param,
// rounded.
void AdamWUpdate(const Tensor& param, const Tensor& grad, const Tensor& m, const Tensor& v,
                 const AdamWParams& params, const Tensor& param_bf16 = Tensor());

// Sum of x^2, accumulated in f64 in an order that depends on the size only. x f32.
double SumOfSquares(const Tensor& x);

// True if no element is NaN or infinite. x f32.
bool AllFinite(const Tensor& x);

}  // namespace lorikeet
