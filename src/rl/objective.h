// An `Objective` defines a policy-gradient step on graded completions: the loss, the kind of
// advantages and the normalisation of the sum.
//
// With N valid completions, |y_i| tokens and advantage A_i of completion i, and l(i, t) the loss of
// its token t (train/losses.h), a step minimises
//   kCompletions        1/N sum_i sum_t l(i, t)
//   kCompletionLengths  1/N sum_i 1/|y_i| sum_t l(i, t)
//   kTokens             1/(sum_i |y_i|) sum_i sum_t l(i, t)
//
// With LossFn::kGspo, which has one ratio s_i per completion, a step minimises
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
  // Two parts of DAPO, arXiv 2503.14476.
  bool filter_groups = false;  // replace groups without signal by groups of new problems (3.2)
  double overlong_share = 0;   // share of max_tokens over which the overlong penalty grows (3.4)

  // Defaults of RlConfig::max_rounds and RlConfig::overlong_buffer.
  int64_t DefaultRounds() const { return filter_groups ? 4 : 1; }
  int64_t DefaultOverlongBuffer(int64_t max_tokens) const {
    return static_cast<int64_t>(overlong_share * static_cast<double>(max_tokens));
  }
};

std::span<const Objective> Objectives();
// Throws Error(kInvalidArgument) that names the nearest objective.
const Objective& GetObjective(std::string_view name);

// The examples of one update for TrainingRun::ForwardBackward, and the divisor of its gradient.
// Completions whose advantage is 0 count in the divisor; they are examples only if the loss has a
// KL penalty.
struct PolicyBatch {
  std::vector<Example> examples;
  std::vector<const Rollout*> rollouts;    // rollout of each example
  std::vector<double> rollout_advantages;  // advantage of each example
  double divisor = 0;                      // 0: no examples, so no update
};
PolicyBatch MakePolicyBatch(std::span<const Group> groups, const Objective& objective);

// Statistics of the importance ratios r = exp(logp - logq) over the tokens of a batch, where p is
// the current policy and q the one that sampled.
struct RatioStats {
  double logp_difference = 0;  // maximum of |logp - logq|; 0 on-policy
  double kl = 0;               // KL(q || p) in nats, estimated as the mean of r - 1 - log r
  double ratio_min = 1, ratio_mean = 1, ratio_max = 1;
  double clipped = 0;  // share of tokens (completions for sequence losses) whose ratio is clipped
};
// `logprobs`: ForwardBackwardOutput::logprobs of the batch's examples.
RatioStats RatioStatsOf(const PolicyBatch& batch, std::span<const std::vector<float>> logprobs,
                        const Objective& objective);

}  // namespace lorikeet
