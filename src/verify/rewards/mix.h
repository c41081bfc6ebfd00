// Weighted sums of several rewards of one completion, each kept for the metrics.
#pragma once
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/metrics.h"
#include "verify/rewards/function.h"

namespace lorikeet {

// Name of the part whose verdict is that of the sum.
inline constexpr const char* kGraderPart = "grader";

struct RewardWeight {
  std::string name;  // "grader", "command", "url2", "think_format"
  double weight = 1;
};

// Reads NAME and NAME=WEIGHT. Throws Error(kInvalidArgument) for a weight that is not a finite
// number, for a name that occurs twice, and if all weights are 0.
std::vector<RewardWeight> ParseRewardWeights(std::span<const std::string> texts);

struct WeightedReward {
  RewardWeight part;
  RewardFunction reward;
  bool outside = false;  // computed in its own thread, at the same time as the others
};

// Sums of weight x reward. A sum is invalid if a part with a weight other than 0 is, or if it is
// not a finite number; a part of weight 0 is only reported. The part "grader", if there is one,
// else the first, decides whether a completion is correct. Grade::parts has all parts, in their
// order.
RewardFunction MixRewards(std::vector<WeightedReward> parts);

// Metrics of the parts, over the completions that have them.
class RewardPartSums {
 public:
  void Add(const Grade& grade);
  // "rewards/NAME/mean" and "rewards/NAME/std" (n - 1; 0 for a single one), the names of TRL. Empty
  // without parts.
  Metrics Figures() const;

 private:
  std::map<std::string, std::vector<double>> rewards_;
};

}  // namespace lorikeet
