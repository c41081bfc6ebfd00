// How far a learning rate may be off and still be good.
#pragma once
#include <cstdint>
#include <vector>

#include "study/sweep.h"

namespace lorikeet {

// The rates about the best one whose result is still good (Measure::GoodCost); between two rates of
// the grid, one good and one not, the line between their results says where that ends.
struct GoodBand {
  Interval low, high;              // rates
  Interval width;                  // high / low
  std::vector<double> log_widths;  // log10, of each seed, in order of Sweep::Seeds
  // A seed's band reaches the grid's edge there: it may be wider than it is said to be.
  bool open_low = false, open_high = false;

  bool Open() const { return open_low || open_high; }
};
GoodBand BandOf(const Sweep& sweep, int64_t step);

}  // namespace lorikeet
