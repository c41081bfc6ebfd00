// Which evaluation was the best, and when to stop waiting for a better one.
#pragma once
#include <cstdint>

#include "core/json.h"

namespace lorikeet {

class BestEvaluation {
 public:
  // patience: stop after so many evaluations in a row without a better loss; 0: never.
  explicit BestEvaluation(int64_t patience) : patience_(patience) {}

  // Returns whether this one is the best so far. A loss that is not finite never is.
  bool Add(int64_t step, double loss);
  bool any() const { return step_ >= 0; }
  int64_t step() const { return step_; }  // of the best, -1 if none
  double loss() const { return loss_; }
  bool ShouldStop() const { return patience_ > 0 && without_better_ >= patience_; }

  Json ToJson() const;
  void Restore(const Json& saved);  // throws Json::exception

 private:
  int64_t patience_;
  int64_t step_ = -1, without_better_ = 0;
  double loss_ = 0;
};

}  // namespace lorikeet
