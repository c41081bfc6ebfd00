#include "study/measure.h"

#include <algorithm>
#include <cmath>

namespace lorikeet {
namespace {

struct Point {
  double log_rate = 0, cost = 0;
};

// The known points of a seed, by rate.
std::vector<Point> PointsOf(const Sweep& sweep, uint64_t seed, int64_t step) {
  std::vector<Point> points;
  for (const auto& [rate, by_seed] : sweep.runs) {
    const double cost = by_seed.at(seed)->LossAt(step);
    if (std::isfinite(cost)) points.push_back({std::log10(rate), cost});
  }
  return points;
}

// The intersection with the bound of the line from a good point to one that is not good.
double Crossing(const Point& good, const Point& other, double bound) {
  return std::lerp(good.log_rate, other.log_rate, (bound - good.cost) / (other.cost - good.cost));
}

struct Edge {
  double log_rate = 0;
  bool open = false;
};

// Searches from the best point outwards in steps of `by`.
Edge EdgeOf(const std::vector<Point>& points, int64_t best, int64_t by, double bound) {
  const auto at = [&](int64_t i) { return points[static_cast<size_t>(i)]; };
  int64_t i = best;
  while (i + by >= 0 && i + by < std::ssize(points)) {
    if (at(i + by).cost > bound) return {Crossing(at(i), at(i + by), bound), false};
    i += by;
  }
  return {at(i).log_rate, true};
}

}  // namespace

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

GoodBand BandOf(const Sweep& sweep, int64_t step) {
  const Measure& measure = MeasureOf(sweep.spec);
  GoodBand band;
  std::vector<double> lows, highs;
  for (const uint64_t seed : sweep.Seeds()) {
    const std::vector<Point> points = PointsOf(sweep, seed, step);
    if (points.empty()) continue;
    const auto best = std::min_element(points.begin(), points.end(),
                                       [](Point a, Point b) { return a.cost < b.cost; });
    double untrained = 0;
    for (const auto& [rate, by_seed] : sweep.runs) untrained = by_seed.at(seed)->LossAt(0);
    const double bound = measure.GoodCost(best->cost, untrained);
    const int64_t at = best - points.begin();
    const Edge low = EdgeOf(points, at, -1, bound), high = EdgeOf(points, at, 1, bound);
    lows.push_back(low.log_rate);
    highs.push_back(high.log_rate);
    band.log_widths.push_back(high.log_rate - low.log_rate);
    band.open_low = band.open_low || low.open;
    band.open_high = band.open_high || high.open;
  }
  band.low = FromLog10(MeanInterval(lows));
  band.high = FromLog10(MeanInterval(highs));
  band.width = FromLog10(MeanInterval(band.log_widths));
  return band;
}

}  // namespace lorikeet
