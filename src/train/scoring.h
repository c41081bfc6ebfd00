// Scores of given tokens: their log-probabilities under a model, and all logits on request.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/arena.h"
#include "data/example.h"
#include "model/batch.h"
#include "model/lora_weights.h"
#include "model/weights.h"

namespace lorikeet {

struct Score {
  double nll = 0;  // nats per counted token, each with its weight
  int64_t sequences = 0, tokens = 0, counted_tokens = 0;
  std::vector<std::vector<float>> logprobs;  // per example, (T) of its targets; empty if not wanted
};

struct ScoreOptions {
  int64_t batch_tokens = 2048;  // tokens computed at once, or the longest example if it has more
  bool logprobs = false;        // return those of all targets, also with weight 0
};

// Forward only. adapter may be null. Throws Error if memory does not suffice.
Score ScoreExamples(const Model& model, const LoraWeights* adapter,
                    const std::vector<Example>& examples, const ScoreOptions& options);

// Logits of every row of a batch, (T, V) f32.
Buffer ComputeLogits(const Model& model, const LoraWeights* adapter, const Batch& batch);

// A safetensors file with "logits" (T, V) f32: a row for every token of every sequence, in order,
// the last target of an example included. Streamed: the tensor is never held whole.
void WriteLogits(const Model& model, const LoraWeights* adapter,
                 const std::vector<Example>& examples, const std::string& path);

}  // namespace lorikeet
