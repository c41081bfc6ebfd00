// At which step a curve leaves another for good.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "study/statistics.h"

namespace lorikeet {

// The step at which `gap` (at `steps`, rising) goes above `threshold` for the last time,
// interpolated in the logarithm of the step. Infinity when it ends below; the first step when it
// never was below. Step 0 is left out, gaps that are not finite too.
double DepartureStep(std::span<const int64_t> steps, std::span<const double> gap, double threshold);

struct Departure {
  Interval step;     // over the seeds in which the curve left
  int departed = 0;  // seeds
  int seeds = 0;
  std::vector<double> of_seed;  // infinity: did not leave
};
// gaps: of each seed, at `steps`.
Departure DetectDeparture(std::span<const int64_t> steps, std::span<const std::vector<double>> gaps,
                          double threshold);

}  // namespace lorikeet
