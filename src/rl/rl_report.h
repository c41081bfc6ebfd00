// A `StepReport` holds the figures of one step of reinforcement learning, for metrics.jsonl; a
// transcript shows some of its completions.
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
  double reward = 0, accuracy = 0;         // means over the valid completions
  std::map<std::string, double> by_task;   // mean reward of each task
  Metrics parts;                           // rewards/NAME/mean and /std of a weighted sum's parts
  int64_t completions = 0, invalid = 0;    // number of valid and of invalid completions
  std::string invalid_reason;              // that of the last invalid one
  double without_signal = 0;               // share of groups whose rewards are all equal
  double mean_length = 0, max_length = 0;  // tokens, over all completions
  double truncated = 0;                    // share of completions cut off at max_tokens
  double entropy = 0;  // estimate of the policy's entropy: mean of -logprob of the tokens, nats
  // Entropy of the distribution of the step's advantages, in bits: an upper bound on the
  // information per completion.
  double advantage_entropy = 0;
  int64_t sampled_tokens = 0;
  // Set by the loop:
  int64_t rounds = 1;  // rounds of sampling; more than 1 if groups without signal were replaced
  UpdateReport update;
  double learning_rate = 0;
  double sampling_seconds = 0, training_seconds = 0;
};

StepReport ReportOf(std::span<const Group> groups);
Metrics MetricsOf(const StepReport& report);
// A page for reading: each prompt with its best and worst completion, and the first invalid one.
std::string Transcript(std::span<const Group> groups);

}  // namespace lorikeet
