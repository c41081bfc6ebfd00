// Means with confidence intervals over the seeds of a study.
#pragma once
#include <limits>
#include <span>
#include <string>

namespace lorikeet {

inline constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

// A value and its 95 % interval. Without an interval (one seed) low and high are not finite.
struct Interval {
  double value = kUnknown, low = kUnknown, high = kUnknown;
  int count = 0;  // number of values

  bool Known() const;  // has an interval
  bool Contains(double x) const { return low <= x && x <= high; }
  bool Overlaps(double from, double to) const { return low <= to && high >= from; }
  std::string Text(int digits = 3) const;  // "9.8 (8.1 to 11.9)", in significant digits
};

double Mean(std::span<const double> values);
// Sample standard deviation (n - 1); not a number for fewer than two.
double StandardDeviation(std::span<const double> values);

// Student's t: the 0.975 quantile for `degrees` degrees of freedom (1: 12.706).
double TQuantile(int degrees);

// Mean and t interval. Values that are not finite are ignored.
Interval MeanInterval(std::span<const double> values);
// 10^x of the value and the bounds of an interval of logarithms: for rates and ratios.
Interval FromLog10(const Interval& logarithm);

struct Line {
  double intercept = 0, slope = 0;
};
// Least squares. Not a number for fewer than two different x.
Line FitLine(std::span<const double> x, std::span<const double> y);

}  // namespace lorikeet
