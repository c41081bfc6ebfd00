#include "study/departure.h"

#include <algorithm>
#include <cmath>

namespace lorikeet {

double DepartureStep(std::span<const int64_t> steps, std::span<const double> gap,
                     double threshold) {
  std::vector<std::pair<double, double>> points;  // log of step, gap
  for (size_t i = 0; i < steps.size(); ++i) {
    if (steps[i] > 0 && std::isfinite(gap[i])) {
      points.emplace_back(std::log(static_cast<double>(steps[i])), gap[i]);
    }
  }
  if (points.empty() || points.back().second <= threshold) {
    return std::numeric_limits<double>::infinity();
  }
  size_t i = points.size() - 1;  // first of the points above the threshold at the end
  while (i > 0 && points[i - 1].second > threshold) --i;
  if (i == 0) return std::exp(points.front().first);
  const auto [x0, g0] = points[i - 1];
  const auto [x1, g1] = points[i];
  return std::exp(x0 + (x1 - x0) * (threshold - g0) / (g1 - g0));
}

Departure DetectDeparture(std::span<const int64_t> steps, std::span<const std::vector<double>> gaps,
                          double threshold) {
  Departure departure;
  departure.seeds = static_cast<int>(gaps.size());
  std::vector<double> logs;
  for (const std::vector<double>& gap : gaps) {
    const double step = DepartureStep(steps, gap, threshold);
    departure.of_seed.push_back(step);
    if (!std::isfinite(step)) continue;
    ++departure.departed;
    logs.push_back(std::log10(step));
  }
  departure.step = FromLog10(MeanInterval(logs));
  return departure;
}

}  // namespace lorikeet
