// LoRA adapters in llama.cpp's format: a GGUF file of general.type "adapter", adapter.type "lora",
// one adapter.lora.alpha, and <tensor>.lora_a (R, in), <tensor>.lora_b (out, R) in row-major order.
// In the llama family the rows of q's and k's B are permuted like those of the weights.
#pragma once
#include <cstdint>
#include <string>

#include "checkpoint/peft.h"

namespace lorikeet {

// Numbers of heads, which an adapter alone does not contain; 0: unknown.
struct AttentionHeads {
  int64_t query = 0, key_value = 0;
};

bool IsGgufAdapter(const std::string& path);  // throws Error for a damaged GGUF file

// The adapter in peft's terms. Throws Error naming file and tensor. `heads` are needed if rows of B
// are permuted and the file does not contain the number of heads, as files of other writers.
AdapterFile ReadGgufAdapter(const std::string& path, const AttentionHeads& heads);

// Metadata that is written besides the factors.
struct GgufBase {
  std::string model_type;  // as in config.json
  AttentionHeads heads;
  bool tied_head = false;
};
// Writes factors in f32 or f16. Returns the number of pairs whose B was multiplied because their
// alpha differs from the file's. Throws Error for adapters that llama.cpp cannot load.
int64_t WriteGgufAdapter(const std::string& path, const AdapterFile& adapter, const GgufBase& base,
                         DType dtype);

// The base model that the metadata names; "" if none.
std::string BaseNamedByGguf(const std::string& path);

}  // namespace lorikeet
