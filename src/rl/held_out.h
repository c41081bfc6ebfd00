// Evaluation on held-out problems: accuracy with greedy decoding, and pass@k from samples.
#pragma once
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "core/json.h"
#include "rl/rollout.h"

namespace lorikeet {

// The unbiased estimate of pass@k from n samples of which c are correct, 1 - C(n - c, k) / C(n, k)
// (Chen et al. 2021, arXiv 2107.03374, eq. 1): the probability that at least one of k samples drawn
// without replacement is correct. 0 <= c <= n, 1 <= k <= n.
double PassAtK(int64_t n, int64_t c, int64_t k);

struct HeldOutConfig {
  int64_t samples = 0;      // samples per problem for pass@k, besides the greedy one; 0: none
  SamplingParams sampling;  // used for both; greedy decoding sets the temperature to 0
  std::shared_ptr<const LoraWeights> adapter = nullptr;  // adapter of the policy; null: the base
};

struct HeldOutResult {
  double accuracy = 0, reward = 0;        // means over the valid greedy completions
  double mean_length = 0, truncated = 0;  // tokens; share cut off; both over all greedy completions
  int64_t invalid = 0;                    // greedy completions that could not be graded
  // (k, mean of pass@k over problems) for k = 1, 2, 4, ... and `samples`. The mean is over the
  // problems with at least k valid samples.
  std::vector<std::pair<int64_t, double>> pass_at;

  Json ToJson() const;
  // Throws Json::exception unless `json` has the form that ToJson writes.
  static HeldOutResult FromJson(const Json& json);
};

// A pure function of the weights, the problems and the configuration: all evaluations of a run use
// the same random numbers, so that only the policy makes them differ.
HeldOutResult EvaluateHeldOut(Generator& generator, const ChatFormat& format,
                              const HeldOutConfig& config, const RewardFunction& reward,
                              std::span<const Problem> problems);

}  // namespace lorikeet
