// Root-mean-square norm over rows (Zhang and Sennrich, 2019). C = f32|bf16, the compute dtype.
#pragma once
#include <cstdint>

#include "core/tensor.h"

namespace lorikeet {

// The factor g of a normed value, and the roundings, which are those of the reference
// implementations in bf16.
enum class NormKind : uint8_t {
  kRms,        // g = w; xhat is rounded to C before the product: y = C(g * C(x * rstd))
  kRmsOnce,    // g = w; one rounding: y = C(g * (x * rstd))
  kRmsOnePlus  // g = 1 + w; one rounding
};

// rstd = 1/sqrt(mean(x^2) + eps), xhat = C(x * rstd), y as the kind says. x (T,D) f32, w (D) f32,
// xhat and y (T,D) C, rstd (T) f32.
void RmsNormForward(const Tensor& x, const Tensor& w, float eps, const Tensor& xhat,
                    const Tensor& y, const Tensor& rstd, NormKind kind = NormKind::kRms);

// residual += g * x * rstd, the norm of a branch's output x, not rounded with one rounding.
// residual (T,D) f32; the others as above.
void RmsNormAdd(const Tensor& x, const Tensor& w, float eps, const Tensor& xhat,
                const Tensor& residual, const Tensor& rstd, NormKind kind);

// y = C(g * xhat) again, where only xhat was kept: bit for bit, but for one rounding in bf16, where
// xhat has lost a rounding that the forward's y does not have. y may be xhat.
void RmsNormScale(const Tensor& xhat, const Tensor& w, const Tensor& y,
                  NormKind kind = NormKind::kRms);

// dx += rstd * (dy * g - xhat * mean(dy * g * xhat)); dw += sum over T of dy * xhat.
// dy and dx (T,D) f32; dw (D) f32, or an empty Tensor where the weight is frozen.
void RmsNormBackward(const Tensor& dy, const Tensor& xhat, const Tensor& w, const Tensor& rstd,
                     const Tensor& dx, const Tensor& dw, NormKind kind = NormKind::kRms);

}  // namespace lorikeet
