// Memory and arithmetic of a run, computed before its first step by a dry run: for `estimate`, for
// the plan that every run prints, and for the choice of the micro-batch.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "model/config.h"
#include "plan/dry_run.h"

namespace lorikeet {

// Bytes of the arena (its high mark) for T tokens in sequences of at most T tokens, whatever
// experts a router chooses: for Forward with LossHead or HeadLogits, and with Backward too. Without
// adapter: the base alone; without training: full fine-tuning.
size_t ForwardArenaBytes(const Model& model, const LoraWeights* adapter, int64_t T);
size_t TrainingArenaBytes(const Model& model, const LoraTraining* training, Recompute recompute,
                          int64_t T);

// The same for a step of decoding `tokens` tokens, with the logits of `rows` of them, and with one
// or several adapters of up to this extent (rank 0: none) on any linears.
size_t DecodeArenaBytes(const Model& model, const LoraExtent& adapters, int64_t tokens,
                        int64_t rows);

struct MemoryPart {
  std::string name;  // "base weights", "adapter", "gradients", ...
  size_t bytes = 0;
};
inline constexpr const char* kActivationsPart = "activations and scratch";
inline constexpr const char* kProgramPart = "program and tokenizer";

// Memory of a training run, by part; the sum is its peak resident memory (without the page cache
// except for mapped weights). Needs the configuration only, no weights. source_dtype: the stored
// dtype, which decides whether weights are mapped or copied.
std::vector<MemoryPart> PlanTrainingMemory(const ModelConfig& config, const TrainingShape& shape,
                                           DType source_dtype);
// Memory of decoding `sequences` sequences of up to max_length tokens with the run's adapter, in
// steps of shape.tokens_per_microbatch tokens. shape.method must be kLora.
std::vector<MemoryPart> PlanSamplingMemory(const ModelConfig& config, const TrainingShape& shape,
                                           DType source_dtype, int64_t sequences,
                                           int64_t max_length);
size_t TotalBytes(const std::vector<MemoryPart>& parts);
// Bytes of the part of that name; 0 if there is none.
size_t PartBytes(const std::vector<MemoryPart>& parts, const std::string& name);

// Floating point operations per token of a training step (multiply-add = 2), recompute not counted.
struct FlopsPerToken {
  double forward = 0, backward = 0;  // linear layers and lm_head, adapters included
  double attention = 0;              // forward and backward, causal half
  double total() const { return forward + backward + attention; }
};
// trained_fraction: share of rows that the head computes.
FlopsPerToken TrainingFlops(const ModelConfig& config, const TrainingShape& shape,
                            double trained_fraction = 1.0);

int64_t CountTrainable(const ModelConfig& config, const TrainingShape& shape);

// Bytes of the program, its threads and its tokenizer, and of attention's scratch.
size_t ProgramBytes(const ModelConfig& config, const TrainingShape& shape);

}  // namespace lorikeet
