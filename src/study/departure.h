// The step after which one loss curve stays above another.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "study/statistics.h"

namespace lorikeet {

// The step at which `gap` (at `steps`, rising) crosses `threshold` upwards for the last time,
// interpolated in the logarithm of the step. Infinity when it ends below; the first step when it is
// never below. Step 0 and gaps that are not finite are left out.
double DepartureStep(std::span<const int64_t> steps, std::span<const double> gap, double threshold);

struct Departure {
  Interval step;     // over the seeds with a departure
  int departed = 0;  // number of seeds with a departure
  int seeds = 0;
  std::vector<double> of_seed;  // step by seed; infinity: no departure
};
// gaps: one curve per seed, at `steps`.
Departure DetectDeparture(std::span<const int64_t> steps, std::span<const std::vector<double>> gaps,
                          double threshold);

}  // namespace lorikeet
