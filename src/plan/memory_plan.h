// Memory and arithmetic of a run, known before its first step from a dry run: what `estimate`, the
// head of every run and the choice of micro-batch read.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "model/config.h"
#include "model/parameters.h"
#include "plan/dry_run.h"

namespace lorikeet {

// Bytes of the arena (its high mark) that T tokens need, in sequences of at most T tokens, wherever
// a router sends them: for Forward with LossHead or HeadLogits, and with Backward. adapter and
// training may be null: the base alone, full fine-tuning.
size_t ForwardArenaBytes(const Model& model, const LoraWeights* adapter, int64_t T);
size_t TrainingArenaBytes(const Model& model, const LoraTraining* training, Recompute recompute,
                          int64_t T);

// The same for a step of decoding with adapters of up to this extent on any linears, one for all
// rows or several (rank 0: none): `tokens` tokens, and the logits of `rows` of them.
size_t DecodeArenaBytes(const Model& model, const LoraExtent& adapters, int64_t tokens,
                        int64_t rows);

struct MemoryPart {
  std::string name;  // "base weights", "adapter", "gradients", ...
  size_t bytes = 0;
};
inline constexpr const char* kActivationsPart = "activations and scratch";
inline constexpr const char* kProgramPart = "program and tokenizer";

// What a training run will hold, by part; the sum is its peak resident memory (without the page
// cache except for weights that are used there). From a configuration alone (no weights needed).
// source_dtype: as stored, decides mapped or copied.
std::vector<MemoryPart> PlanTrainingMemory(const ModelConfig& config, const TrainingShape& shape,
                                           DType source_dtype);
// What decoding `sequences` sequences of up to max_length tokens holds with the run's adapter, in
// steps of shape.tokens_per_microbatch tokens. shape.method must be kLora.
std::vector<MemoryPart> PlanSamplingMemory(const ModelConfig& config, const TrainingShape& shape,
                                           DType source_dtype, int64_t sequences,
                                           int64_t max_length);
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

// Bytes of the program, its threads and its tokenizer, and of attention's scratch.
size_t ProgramBytes(const ModelConfig& config, const TrainingShape& shape);

}  // namespace lorikeet
