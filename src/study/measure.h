// What the runs of a study are held against each other by. Sweeps look for the lowest cost; people
// are shown values.
#pragma once
#include <string>

#include "study/run_spec.h"
#include "study/statistics.h"

namespace lorikeet {

struct Measure {
  const char* title;              // "Held-out loss"
  const char* axis;               // with its unit
  const char* best;               // "lowest held-out loss"
  bool higher_is_better = false;  // then a cost is 1 - value

  double Value(double cost) const { return higher_is_better ? 1 - cost : cost; }
  Interval Value(const Interval& cost) const;
  // The highest cost that is still called good, from the best one and the untrained model's.
  double GoodCost(double best_cost, double untrained_cost) const;
};

// Held-out loss, or the reward of a run that learns from rewards.
const Measure& MeasureOf(const RunSpec& spec);

}  // namespace lorikeet
