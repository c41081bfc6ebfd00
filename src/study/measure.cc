#include "study/measure.h"

namespace lorikeet {

Interval Measure::Value(const Interval& cost) const {
  if (!higher_is_better) return cost;
  return {1 - cost.value, 1 - cost.high, 1 - cost.low, cost.count};
}

double Measure::GoodCost(double best_cost, double untrained_cost) const {
  // Rewards have a natural zero, losses do not.
  constexpr double kShareOfReward = 0.95, kShareOfWayBack = 0.01;
  if (higher_is_better) return 1 - kShareOfReward * (1 - best_cost);
  return best_cost + kShareOfWayBack * (untrained_cost - best_cost);
}

const Measure& MeasureOf(const RunSpec& spec) {
  static constexpr Measure kLoss = {.title = "Held-out loss",
                                    .axis = "held-out loss, nats per token",
                                    .best = "lowest held-out loss"};
  static constexpr Measure kReward = {.title = "Final reward",
                                      .axis = "mean reward of the last training problems",
                                      .best = "highest final reward",
                                      .higher_is_better = true};
  return spec.rewards() ? kReward : kLoss;
}

}  // namespace lorikeet
