// LoRA adapters as llama.cpp reads them: a GGUF file of general.type "adapter", adapter.type
// "lora", one adapter.lora.alpha, and <tensor>.lora_a (R, in), <tensor>.lora_b (out, R) in
// row-major order. In the llama family the rows of q's and k's B lie permuted as those of the
// weights do.
#pragma once
#include <cstdint>
#include <string>

#include "checkpoint/peft.h"

namespace lorikeet {

// What an adapter alone does not tell; 0: not known.
struct AttentionHeads {
  int64_t query = 0, key_value = 0;
};

bool IsGgufAdapter(const std::string& path);  // throws Error for a damaged GGUF file

// In peft's terms. Throws Error naming file and tensor. `heads` are needed when B rows lie permuted
// and the file, as those of other writers, does not say by how many heads.
AdapterFile ReadGgufAdapter(const std::string& path, const AttentionHeads& heads);

// What is written besides the factors.
struct GgufBase {
  std::string model_type;  // of config.json
  AttentionHeads heads;
  bool tied_head = false;
};
// Factors in f32 or f16. Returns the number of pairs whose B was multiplied because their alpha is
// not the file's. Throws Error for what llama.cpp cannot load.
int64_t WriteGgufAdapter(const std::string& path, const AdapterFile& adapter, const GgufBase& base,
                         DType dtype);

// The base model that the metadata names; "" if none.
std::string BaseNamedByGguf(const std::string& path);

}  // namespace lorikeet
