// What an optimizer sees, of a full model or of an adapter alike.
#pragma once
#include <string>

#include "core/tensor.h"

namespace lorikeet {

struct Param {
  std::string name;  // a Hugging Face weight name, or a module path + ".lora_A" / ".lora_B"
  Tensor value;      // f32, the master copy
  Tensor grad;       // f32, same shape
  Tensor working;    // what products read, bf16; empty when they read `value` itself
};

}  // namespace lorikeet
