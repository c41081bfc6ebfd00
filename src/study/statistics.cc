#include "study/statistics.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace lorikeet {

bool Interval::Known() const {
  return std::isfinite(value) && std::isfinite(low) && std::isfinite(high);
}

std::string Interval::Text(int digits) const {
  if (!std::isfinite(value)) return "unknown";
  if (!Known()) return fmt::format("{:.{}g} (one seed, no interval)", value, digits);
  return fmt::format("{:.{}g} ({:.{}g} to {:.{}g})", value, digits, low, digits, high, digits);
}

double Mean(std::span<const double> values) {
  if (values.empty()) return kUnknown;
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

double StandardDeviation(std::span<const double> values) {
  if (values.size() < 2) return kUnknown;
  const double mean = Mean(values);
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / static_cast<double>(values.size() - 1));
}

double TQuantile(int degrees) {
  constexpr std::array kTable = {12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306,
                                 2.262,  2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
                                 2.110,  2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064,
                                 2.060,  2.056, 2.052, 2.048, 2.045, 2.042};
  if (degrees < 1) return kUnknown;
  if (degrees <= static_cast<int>(kTable.size())) return kTable[static_cast<size_t>(degrees - 1)];
  // Cornish and Fisher's expansion about the normal quantile.
  constexpr double kNormal = 1.959964;
  const double n = degrees;
  const double cube = kNormal * kNormal * kNormal;
  return kNormal + (cube + kNormal) / (4 * n) +
         (5 * cube * kNormal * kNormal + 16 * cube + 3 * kNormal) / (96 * n * n);
}

Interval MeanInterval(std::span<const double> values) {
  std::vector<double> finite;
  std::copy_if(values.begin(), values.end(), std::back_inserter(finite),
               [](double value) { return std::isfinite(value); });
  Interval interval;
  interval.count = static_cast<int>(finite.size());
  interval.value = Mean(finite);
  if (finite.size() < 2) return interval;
  const double half = TQuantile(interval.count - 1) * StandardDeviation(finite) /
                      std::sqrt(static_cast<double>(finite.size()));
  interval.low = interval.value - half;
  interval.high = interval.value + half;
  return interval;
}

Interval FromLog10(const Interval& logarithm) {
  const auto power = [](double x) { return std::pow(10.0, x); };
  return {power(logarithm.value), power(logarithm.low), power(logarithm.high), logarithm.count};
}

Line FitLine(std::span<const double> x, std::span<const double> y) {
  const double mean_x = Mean(x), mean_y = Mean(y);
  double xx = 0, xy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    xx += (x[i] - mean_x) * (x[i] - mean_x);
    xy += (x[i] - mean_x) * (y[i] - mean_y);
  }
  if (!(xx > 0)) return {kUnknown, kUnknown};
  const double slope = xy / xx;
  return {mean_y - slope * mean_x, slope};
}

}  // namespace lorikeet
