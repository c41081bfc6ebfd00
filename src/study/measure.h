// The metric by which the runs of a study are compared, and the band of learning rates that are
// good by it. Sweeps minimise the metric's cost; reports show its values.
#pragma once
#include <cstdint>
#include <vector>

#include "study/run_spec.h"
#include "study/statistics.h"
#include "study/sweep.h"

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

// The rates around the best one whose result is still good (Measure::GoodCost); between a good rate
// of the grid and one that is not, the edge is interpolated linearly.
struct GoodBand {
  Interval low, high;              // rates
  Interval width;                  // high / low
  std::vector<double> log_widths;  // log10, by seed, in order of Sweep::Seeds
  // True if a seed's band reaches the grid's edge on that side: the band may be wider than
  // measured.
  bool open_low = false, open_high = false;

  bool Open() const { return open_low || open_high; }
};
GoodBand BandOf(const Sweep& sweep, int64_t step);

}  // namespace lorikeet
