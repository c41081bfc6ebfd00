// Root-mean-square norm over rows (Zhang and Sennrich, 2019). C = f32|bf16, the compute dtype.
#pragma once
#include "core/tensor.h"

namespace lorikeet {

// rstd = 1/sqrt(mean(x^2) + eps), xhat = C(x * rstd), y = C(w * xhat): the roundings of the
// reference implementation in bf16. x (T,D) f32, w (D) f32, xhat and y (T,D) C, rstd (T) f32.
void RmsNormForward(const Tensor& x, const Tensor& w, float eps, const Tensor& xhat,
                    const Tensor& y, const Tensor& rstd);

// y = C(w * xhat) again, bit for bit, where only xhat was kept. y may be xhat.
void RmsNormScale(const Tensor& xhat, const Tensor& w, const Tensor& y);

// dx += rstd * (dy * w - xhat * mean(dy * w * xhat)); dw += sum over T of dy * xhat.
// dy and dx (T,D) f32; dw (D) f32, or an empty Tensor where the weight is frozen.
void RmsNormBackward(const Tensor& dy, const Tensor& xhat, const Tensor& w, const Tensor& rstd,
                     const Tensor& dx, const Tensor& dw);

}  // namespace lorikeet
