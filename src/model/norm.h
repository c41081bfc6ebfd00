// A `Norm` is one normalisation of rows: its weights, with their gradients in full fine-tuning, and
// the kernels for its kind.
#pragma once
#include <string>

#include "core/tensor.h"
#include "kernels/rms_norm.h"

namespace lorikeet {

struct Norm {
  std::string name;       // module path, "model.layers.0.input_layernorm"
  Tensor weight;          // (D) or (Dh), f32
  Tensor bias;            // (D) f32; empty if not biased
  Tensor dweight, dbias;  // f32; empty when frozen
  NormKind kind = NormKind::kRms;
  bool centred = false;  // LayerNorm (kernels/layer_norm.h), whatever the kind says
  bool biased = false;
};

// As RmsNormForward and so on (kernels/rms_norm.h), or their counterparts of LayerNorm. There is
// no NormAdd of a LayerNorm.
void NormForward(const Norm& norm, const Tensor& x, float eps, const Tensor& xhat, const Tensor& y,
                 const Tensor& rstd);
void NormAdd(const Norm& norm, const Tensor& x, float eps, const Tensor& xhat,
             const Tensor& residual, const Tensor& rstd);
void NormScale(const Norm& norm, const Tensor& xhat, const Tensor& y);
// Adds to dx, and to the gradients that exist.
void NormBackward(const Norm& norm, const Tensor& dy, const Tensor& xhat, const Tensor& rstd,
                  const Tensor& dx);

}  // namespace lorikeet
