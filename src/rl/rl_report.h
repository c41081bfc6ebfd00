// What a step of reinforcement learning says of itself: figures for metrics.jsonl, and a page to
// read.
#pragma once
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/metrics.h"
#include "rl/objective.h"
#include "rl/rollout.h"

namespace lorikeet {

struct StepReport {
  // Of the completions that count.
  double reward = 0, accuracy = 0;        // means
  std::map<std::string, double> by_task;  // mean rewards
  int64_t completions = 0, invalid = 0;   // those that count, and those that do not
  double without_signal = 0;              // share of groups whose rewards are all alike
  double mean_length = 0, truncated = 0;  // tokens; share of completions that max_tokens ended
  double entropy = 0;  // mean of -logprob of the sampled tokens, nats: an estimate
  int64_t sampled_tokens = 0;
  // Of the update, by the loop.
  double loss = 0, grad_norm = 0, learning_rate = 0;
  double logp_difference = 0;  // largest, sampler against trainer, at the first pass
  double largest_ratio = 1;    // of the last pass
  double sampling_seconds = 0, training_seconds = 0;
  int64_t trained_tokens = 0;
};

StepReport ReportOf(std::span<const Group> groups);
// exp of the largest |logp - logq|.
double LargestRatio(const PolicyBatch& batch, std::span<const std::vector<float>> logprobs);
Metrics MetricsOf(const StepReport& report);
// Prompts with their best and worst completions, for people.
std::string Transcript(std::span<const Group> groups);

}  // namespace lorikeet
