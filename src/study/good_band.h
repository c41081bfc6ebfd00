// The band of good learning rates around the best one.
#pragma once
#include <cstdint>
#include <vector>

#include "study/sweep.h"

namespace lorikeet {

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
