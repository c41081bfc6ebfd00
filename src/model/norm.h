// The weight of a normalisation, with its gradient in full fine-tuning.
#pragma once
#include <string>

#include "core/tensor.h"
#include "kernels/rms_norm.h"

namespace lorikeet {

struct Norm {
  std::string name;  // module path, "model.layers.0.input_layernorm"
  Tensor weight;     // (D) or (Dh), f32
  Tensor dweight;    // f32; empty when frozen
  NormKind kind = NormKind::kRms;
};

}  // namespace lorikeet
