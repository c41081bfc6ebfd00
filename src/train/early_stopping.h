// A `BestEvaluation` finds the best evaluation of a run, and decides on early stopping.
#pragma once
#include <cstdint>

#include "core/json.h"

namespace lorikeet {

class BestEvaluation {
 public:
  // patience: number of evaluations in a row without a better loss after which to stop; 0: never.
  explicit BestEvaluation(int64_t patience) : patience_(patience) {}

  // Returns true if this evaluation is the best so far. A loss that is not finite never is.
  bool Add(int64_t step, double loss);
  bool any() const { return step_ >= 0; }
  int64_t step() const { return step_; }  // step of the best evaluation, -1 if none
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
