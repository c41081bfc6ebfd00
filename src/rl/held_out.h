// How many held-out problems a policy solves: greedily, and in some of several samples.
#pragma once
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "core/json.h"
#include "rl/rollout.h"

namespace lorikeet {

// The chance that one of k samples, drawn without replacement from n of which c are right, is
// right: 1 - C(n - c, k) / C(n, k), the unbiased estimate of pass@k (Chen et al. 2021, arXiv
// 2107.03374, eq. 1). 1 <= k <= n.
double PassAtK(int64_t n, int64_t c, int64_t k);

struct HeldOutConfig {
  int64_t samples = 0;      // of each problem besides the greedy one; 0: none
  SamplingParams sampling;  // of those; greedily its temperature is 0
  std::shared_ptr<const LoraWeights> adapter = nullptr;  // to sample with; null: the base
};

struct HeldOutResult {
  // Over the greedy completions that a verifier can judge:
  double accuracy = 0, reward = 0, mean_length = 0, truncated = 0;
  int64_t invalid = 0;
  // pass@k for k = 1, 2, 4, ... up to `samples`, which is always there: (k, mean over problems).
  // Problems with fewer than k valid samples are left out of it.
  std::vector<std::pair<int64_t, double>> pass_at;

  Json ToJson() const;
  // Throws Json::exception for what is not ToJson's.
  static HeldOutResult FromJson(const Json& json);
};

// A pure function of the weights, the problems and the configuration: all evaluations of a run draw
// with the same random numbers, so that they differ by the policy alone.
HeldOutResult SolveHeldOut(Generator& generator, const PromptWriter& writer,
                           const HeldOutConfig& config, const RewardFunction& reward,
                           std::span<const Problem> problems);

}  // namespace lorikeet
