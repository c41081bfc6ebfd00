// LoRA adapters as mlx-lm stores them: adapter_config.json beside adapters.safetensors with
// <module>.lora_a (in, R) and <module>.lora_b (R, out), W' = W + scale (lora_a lora_b)^T.
#pragma once
#include <string>

#include "checkpoint/peft.h"

namespace lorikeet {

// In peft's terms: factors transposed, alpha = scale * rank. Throws Error naming file and tensor
// for DoRA, full weights and whatever else is not a whole set of pairs of the config's rank.
AdapterFile ReadMlxAdapter(const std::string& dir);

struct MlxWritten {
  int64_t folded = 0;  // pairs of another scale than the file's: B was multiplied by the quotient
  int64_t padded = 0;  // pairs of a lower rank than the file's: zeros were added
};
// Writes both files into `dir` (created if absent), the config last.
MlxWritten WriteMlxAdapter(const std::string& dir, const AdapterFile& adapter);

// The "model" that the config names; "" if none.
std::string BaseNamedByMlx(const std::string& dir);

}  // namespace lorikeet
