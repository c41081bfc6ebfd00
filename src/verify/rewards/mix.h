// Several rewards of one completion, added up by weight, each of them kept for the metrics.
#pragma once
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/metrics.h"
#include "verify/rewards/function.h"

namespace lorikeet {

// The part whose verdict is that of the sum.
inline constexpr const char* kGraderPart = "grader";

struct RewardWeight {
  std::string name;  // "grader", "command", "url2", "think_format"
  double weight = 1;
};

// From NAME and NAME=WEIGHT. Throws Error(kInvalidArgument) for a weight that is no finite number,
// for a name that comes twice, and where no weight but 0 is left.
std::vector<RewardWeight> ParseRewardWeights(std::span<const std::string> texts);

struct WeightedReward {
  RewardWeight part;
  RewardFunction reward;
  bool outside = false;  // asked in a thread of its own, at the same time as the others
};

// Sums of weight x reward. A sum is invalid if a part with a weight other than 0 is, and if it is
// no finite number; a part of weight 0 is only reported. Whether a completion is correct says the
// part "grader" if there is one, else the first. Grade::parts has all parts, in their order.
RewardFunction MixRewards(std::vector<WeightedReward> parts);

// What metrics say of the parts, over the completions for which they came.
class RewardPartSums {
 public:
  void Add(const Grade& grade);
  // "rewards/NAME/mean" and "rewards/NAME/std" (n - 1; 0 for a single one), as TRL calls them.
  // Nothing where there were no parts.
  Metrics Figures() const;

 private:
  std::map<std::string, std::vector<double>> rewards_;
};

}  // namespace lorikeet
