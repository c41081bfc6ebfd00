// A `Param` is a trained tensor of a model or an adapter, as an optimizer sees it.
#pragma once
#include <string>

#include "core/tensor.h"

namespace lorikeet {

struct Param {
  std::string name;  // a Hugging Face weight name, or a module path + ".lora_A" / ".lora_B"
  Tensor value;      // f32, the master copy
  Tensor grad;       // f32, same shape
  Tensor working;    // bf16 copy that products read; empty if they read `value`
};

}  // namespace lorikeet
