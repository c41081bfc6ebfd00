// Layer normalisation over rows (Ba et al., 2016). C = f32|bf16, the compute dtype.
#pragma once
#include "core/tensor.h"

namespace lorikeet {

// n = (x - mean(x)) * rstd, rstd = 1/sqrt(mean((x - mean(x))^2) + eps); xhat = C(n), y = C(w * n +
// b), rounded once as torch does. x (T,D) f32, w and b (D) f32, b empty where there is no bias,
// xhat and y (T,D) C, rstd (T) f32.
void LayerNormForward(const Tensor& x, const Tensor& w, const Tensor& b, float eps,
                      const Tensor& xhat, const Tensor& y, const Tensor& rstd);

// y = C(w * xhat + b) again, where only xhat was kept: bit for bit in f32; in bf16 xhat has lost a
// rounding that the forward's y does not have. y may be xhat.
void LayerNormScale(const Tensor& xhat, const Tensor& w, const Tensor& b, const Tensor& y);

// dx += rstd * (d - mean(d) - xhat * mean(d * xhat)) with d = dy * w; dw += sum over T of dy *
// xhat, db += sum over T of dy. dy and dx (T,D) f32; dw and db (D) f32, empty Tensors where they
// are frozen; db only beside dw.
void LayerNormBackward(const Tensor& dy, const Tensor& xhat, const Tensor& w, const Tensor& rstd,
                       const Tensor& dx, const Tensor& dw, const Tensor& db);

}  // namespace lorikeet
