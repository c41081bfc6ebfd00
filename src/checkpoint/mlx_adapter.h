// LoRA adapters in mlx-lm's format: adapter_config.json beside adapters.safetensors with
// <module>.lora_a (in, R) and <module>.lora_b (R, out), W' = W + scale (lora_a lora_b)^T.
#pragma once
#include <string>

#include "checkpoint/peft.h"

namespace lorikeet {

// The adapter in peft's terms: factors transposed, alpha = scale * rank. Throws Error naming file
// and tensor for DoRA, full weights and everything else that is not a set of complete pairs of the
// config's rank.
AdapterFile ReadMlxAdapter(const std::string& dir);

struct MlxWritten {
  int64_t folded = 0;  // number of pairs of another scale, whose B was multiplied by the quotient
  int64_t padded = 0;  // number of pairs of a lower rank, to which zeros were added
};
// Writes both files into `dir` (created if absent), the config last.
MlxWritten WriteMlxAdapter(const std::string& dir, const AdapterFile& adapter);

// The "model" of the config; "" if none.
std::string BaseNamedByMlx(const std::string& dir);

}  // namespace lorikeet
