// What a policy-gradient step makes of rewarded completions: the rows of a table, each with the
// loss of a token, the advantage of a completion and what the sum is divided by.
//
// With N completions that count, completion i of |y_i| tokens and advantage A_i, and l the loss of
// a token (train/losses.h), a step minimises
//   kCompletions        1/N sum_i sum_t l(i, t)
//   kCompletionLengths  1/N sum_i 1/|y_i| sum_t l(i, t)
//   kTokens             1/(sum_i |y_i|) sum_i sum_t l(i, t)
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/example.h"
#include "rl/advantages.h"
#include "rl/rollout.h"
#include "train/losses.h"

namespace lorikeet {

enum class Normalisation : uint8_t { kCompletions, kCompletionLengths, kTokens };

struct Objective {
  std::string name, summary;
  LossConfig loss;
  AdvantageKind advantages = AdvantageKind::kCentred;
  Normalisation normalisation = Normalisation::kCompletions;
};

std::span<const Objective> Objectives();
// Throws Error(kInvalidArgument) naming the nearest one.
const Objective& GetObjective(std::string_view name);

// The examples of one step, ready for TrainingRun::ForwardBackward, and what its gradient is
// divided by. Completions without an advantage are left out but count in N and in the tokens.
struct PolicyBatch {
  std::vector<Example> examples;
  std::vector<const Rollout*> rollouts;  // whose each example is
  double divisor = 0;                    // 0: nothing to learn from
};
PolicyBatch MakePolicyBatch(std::span<const Group> groups, const Objective& objective);

// The largest difference between the log-probabilities of the sampler and those of a forward
// (ForwardBackwardOutput::logprobs) over all tokens of the batch: 0 when the weights are the same.
double LargestLogprobDifference(const PolicyBatch& batch,
                                std::span<const std::vector<float>> logprobs);

}  // namespace lorikeet
