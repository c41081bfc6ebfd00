// Memory and arithmetic of a run, known before its first step: what `estimate`, the head of every
// run and the choice of micro-batch read.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "model/activations.h"
#include "model/config.h"
#include "model/lora.h"
#include "model/parameters.h"

namespace lorikeet {

// Bytes of the arena that one forward-backward over T tokens needs (its high mark), for sequences
// of at most T tokens. adapter null: full fine-tuning.
size_t ArenaBytes(const Model& model, const LoraWeights* adapter, Recompute recompute, int64_t T,
                  bool backward);

struct MemoryPart {
  std::string name;  // "base weights", "adapter", "gradients", ...
  size_t bytes = 0;
};
inline constexpr const char* kActivationsPart = "activations and scratch";
inline constexpr const char* kProgramPart = "program and tokenizer";

// What a training run will hold, by part; the sum is its peak resident memory (without the page
// cache but for weights that are used there).
struct TrainingShape {
  Method method = Method::kLora;
  int lora_r = 32;
  int lora_expert_rank = 0;        // of every expert; 0: lora_r / active experts
  bool lora_shared_outer = false;  // the experts of a layer share their factor on the hidden side
  std::vector<std::string> target_modules = {"all-linear"};
  DType compute = DType::kBF16;
  Recompute recompute = Recompute::kNone;
  int64_t tokens_per_microbatch = 2048;
  int64_t sequence_length = 512;  // for attention's share of the arithmetic
  int64_t longest_sequence = 0;   // for attention's scratch; 0: sequence_length
  bool shared_prefixes = false;   // the same: sequences may go on from prefixes (model/batch.h)
};
// From a configuration alone (no weights needed). source_dtype: as stored, decides mapped or
// copied.
std::vector<MemoryPart> PlanTrainingMemory(const ModelConfig& config, const TrainingShape& shape,
                                           DType source_dtype);
size_t TotalBytes(const std::vector<MemoryPart>& parts);

// Floating point operations per token of a training step (multiply-add = 2), recompute not counted.
struct FlopsPerToken {
  double forward = 0, backward = 0;  // linear layers and lm_head, adapters included
  double attention = 0;              // forward and backward, causal half
  double total() const { return forward + backward + attention; }
};
// trained_fraction: the share of rows that reach the head.
FlopsPerToken TrainingFlops(const ModelConfig& config, const TrainingShape& shape,
                            double trained_fraction = 1.0);

int64_t CountTrainable(const ModelConfig& config, const TrainingShape& shape);

}  // namespace lorikeet
