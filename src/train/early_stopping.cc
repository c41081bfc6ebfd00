#include "train/early_stopping.h"

#include <cmath>

namespace lorikeet {

bool BestEvaluation::Add(int64_t step, double loss) {
  if (std::isfinite(loss) && (!any() || loss < loss_)) {
    step_ = step;
    loss_ = loss;
    without_better_ = 0;
    return true;
  }
  ++without_better_;
  return false;
}

Json BestEvaluation::ToJson() const {
  return {{"step", step_}, {"loss", loss_}, {"without_better", without_better_}};
}

void BestEvaluation::Restore(const Json& saved) {
  step_ = saved.at("step").get<int64_t>();
  loss_ = saved.at("loss").get<double>();
  without_better_ = saved.at("without_better").get<int64_t>();
}

}  // namespace lorikeet
