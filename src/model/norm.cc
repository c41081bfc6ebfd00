#include "model/norm.h"

#include "core/check.h"
#include "kernels/layer_norm.h"

namespace lorikeet {

void NormForward(const Norm& norm, const Tensor& x, float eps, const Tensor& xhat, const Tensor& y,
                 const Tensor& rstd) {
  if (norm.centred) {
    LayerNormForward(x, norm.weight, norm.bias, eps, xhat, y, rstd);
  } else {
    RmsNormForward(x, norm.weight, eps, xhat, y, rstd, norm.kind);
  }
}

void NormAdd(const Norm& norm, const Tensor& x, float eps, const Tensor& xhat,
             const Tensor& residual, const Tensor& rstd) {
  CHECK(!norm.centred);
  RmsNormAdd(x, norm.weight, eps, xhat, residual, rstd, norm.kind);
}

void NormScale(const Norm& norm, const Tensor& xhat, const Tensor& y) {
  if (norm.centred) {
    LayerNormScale(xhat, norm.weight, norm.bias, y);
  } else {
    RmsNormScale(xhat, norm.weight, y, norm.kind);
  }
}

void NormBackward(const Norm& norm, const Tensor& dy, const Tensor& xhat, const Tensor& rstd,
                  const Tensor& dx) {
  if (norm.centred) {
    LayerNormBackward(dy, xhat, norm.weight, rstd, dx, norm.dweight, norm.dbias);
  } else {
    RmsNormBackward(dy, xhat, norm.weight, rstd, dx, norm.dweight, norm.kind);
  }
}

}  // namespace lorikeet
