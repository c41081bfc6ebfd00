// The metric by which the runs of a study are compared. Sweeps minimise its cost; reports show its
// values.
#pragma once
#include <string>

#include "study/run_spec.h"
#include "study/statistics.h"

namespace lorikeet {

struct Measure {
  const char* title;              // "Held-out loss"
  const char* axis;               // with its unit
  const char* best;               // "lowest held-out loss"
  bool higher_is_better = false;  // true: cost = 1 - value

  double Value(double cost) const { return higher_is_better ? 1 - cost : cost; }
  Interval Value(const Interval& cost) const;
  // The highest cost that still counts as good, from the best cost and the untrained model's.
  double GoodCost(double best_cost, double untrained_cost) const;
};

// Held-out loss, or for runs that learn from rewards the reward.
const Measure& MeasureOf(const RunSpec& spec);

}  // namespace lorikeet
