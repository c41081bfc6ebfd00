// What a step of reinforcement learning says of itself: figures for metrics.jsonl, and a page to
// read.
#pragma once
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/metrics.h"
#include "rl/policy_update.h"
#include "rl/rollout.h"

namespace lorikeet {

struct StepReport {
  // Over the completions that count:
  double reward = 0, accuracy = 0;         // means
  std::map<std::string, double> by_task;   // mean rewards
  Metrics parts;                           // of rewards that are sums: rewards/NAME/mean and /std
  int64_t completions = 0, invalid = 0;    // those that count, and those that do not
  double without_signal = 0;               // share of groups whose rewards are all alike
  double mean_length = 0, max_length = 0;  // tokens
  double truncated = 0;                    // share of completions that max_tokens ended
  double entropy = 0;  // mean of -logprob of the sampled tokens, nats: an estimate
  // Entropy of the distribution of advantages over the step, in bits: at most what one reward, seen
  // as a message, can tell the trainer.
  double advantage_entropy = 0;
  int64_t sampled_tokens = 0;
  // Filled in by the loop, from the sampling and the updates:
  int64_t rounds = 1;  // of sampling: more than 1 where groups without signal are replaced
  UpdateReport update;
  double learning_rate = 0;
  double sampling_seconds = 0, training_seconds = 0;
};

StepReport ReportOf(std::span<const Group> groups);
Metrics MetricsOf(const StepReport& report);
// Prompts with their best and worst completions, and one that is invalid if there is any, for
// people.
std::string Transcript(std::span<const Group> groups);

}  // namespace lorikeet
