// A `TrainingShape` holds the settings of a run that decide its memory and arithmetic.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "model/activations.h"
#include "model/weights.h"

namespace lorikeet {

struct TrainingShape {
  Method method = Method::kLora;
  int lora_r = 32;
  int lora_expert_rank = 0;        // rank of every expert; 0: lora_r / active experts
  bool lora_shared_outer = false;  // a layer's experts share their factor on the hidden side
  bool use_dora = false;           // whether the adapter, which is loaded then, is of DoRA
  std::vector<std::string> target_modules = {"all-linear"};
  DType compute = DType::kBF16;
  Recompute recompute = Recompute::kNone;
  int64_t tokens_per_microbatch = 2048;
  int64_t sequence_length = 512;  // for attention's part of the arithmetic
  int64_t longest_sequence = 0;   // for attention's scratch; 0: sequence_length
  bool shared_prefixes = false;  // for the scratch: sequences may continue prefixes (model/batch.h)
};

}  // namespace lorikeet
