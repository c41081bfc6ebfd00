// An `Objective` is what a policy-gradient step makes of rewarded completions: a loss, the
// advantage of a completion and what the sum is divided by.
//
// With N completions that count, completion i of |y_i| tokens and advantage A_i, and l the loss of
// a token (train/losses.h), a step minimises
//   kCompletions        1/N sum_i sum_t l(i, t)
//   kCompletionLengths  1/N sum_i 1/|y_i| sum_t l(i, t)
//   kTokens             1/(sum_i |y_i|) sum_i sum_t l(i, t)
//
// With LossFn::kGspo, which has one ratio s_i for a whole completion, a step minimises
//   -1/N sum_i min(s_i A_i, clip(s_i, 1 - clip_low, 1 + clip_high) A_i)
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
  // DAPO, arXiv 2503.14476: groups without signal are sampled anew (3.2), and rewards fall over the
  // last tokens before max_tokens (3.4), over this share of them.
  bool filter_groups = false;
  double overlong_share = 0;

  // What RlConfig has in these places unless a person says otherwise.
  int64_t UsualRounds() const { return filter_groups ? 4 : 1; }
  int64_t UsualOverlongBuffer(int64_t max_tokens) const {
    return static_cast<int64_t>(overlong_share * static_cast<double>(max_tokens));
  }
};

std::span<const Objective> Objectives();
// Throws Error(kInvalidArgument) naming the nearest one.
const Objective& GetObjective(std::string_view name);

// The examples of one update, ready for TrainingRun::ForwardBackward, and what its gradient is
// divided by. Completions without an advantage are left out but count in N and in the tokens; a KL
// penalty keeps them.
struct PolicyBatch {
  std::vector<Example> examples;
  std::vector<const Rollout*> rollouts;    // whose each example is
  std::vector<double> rollout_advantages;  // of each
  double divisor = 0;                      // 0: nothing to learn from
};
PolicyBatch MakePolicyBatch(std::span<const Group> groups, const Objective& objective);

// What the policy that gave `logprobs` (ForwardBackwardOutput::logprobs) is to the one that
// sampled.
struct PolicyDistance {
  double logp_difference = 0;  // largest |logp - logq| of a token: 0 when the weights are the same
  double kl = 0;               // mean of r - 1 - log r over the tokens: KL(sampler || policy), nats
  double ratio_min = 1, ratio_mean = 1, ratio_max = 1;  // r = exp(logp - logq), by token
  double clipped = 0;  // share of tokens (completions, in sequence losses) whose ratio is beyond
                       // the bounds that its advantage meets
};
PolicyDistance DistanceOf(const PolicyBatch& batch, std::span<const std::vector<float>> logprobs,
                          const Objective& objective);

}  // namespace lorikeet
