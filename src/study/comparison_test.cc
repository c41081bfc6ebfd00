#include "study/comparison.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace lorikeet {
namespace {

const std::vector<int64_t> kSteps = {0, 1, 2, 4, 8, 16, 32, 64};

// A curve that follows the common one up to a step, then falls behind by 0.1 for every factor 2.
std::vector<double> GapFrom(double departure) {
  std::vector<double> gap;
  for (const int64_t step : kSteps) {
    const double beyond = step > 0 ? std::log2(static_cast<double>(step) / departure) : 0;
    gap.push_back(beyond > 0 ? 0.1 * beyond : 0);
  }
  return gap;
}

TEST(Departure, FindsTheStepOfASyntheticCurve) {
  // The threshold of 0.05 is crossed half a factor of 2 later.
  EXPECT_NEAR(DepartureStep(kSteps, GapFrom(8), 0.05), 8 * std::sqrt(2.0), 1e-9);
  EXPECT_GT(DepartureStep(kSteps, GapFrom(16), 0.05), DepartureStep(kSteps, GapFrom(4), 0.05));
}

TEST(Departure, NeverAndAtOnce) {
  EXPECT_TRUE(std::isinf(DepartureStep(kSteps, GapFrom(1000), 0.05)));
  EXPECT_DOUBLE_EQ(DepartureStep(kSteps, std::vector<double>(kSteps.size(), 1.0), 0.05), 1);
}

TEST(Departure, AGapThatClosesAgainIsNone) {
  std::vector<double> gap(kSteps.size(), 0.0);
  gap[3] = 1;
  EXPECT_TRUE(std::isinf(DepartureStep(kSteps, gap, 0.05)));
  gap.back() = 1;  // a gap that opens again counts from there
  EXPECT_GT(DepartureStep(kSteps, gap, 0.05), 32);
}

TEST(Departure, IntervalIsOverTheSeedsThatLeft) {
  const std::vector<std::vector<double>> gaps = {GapFrom(4), GapFrom(8), GapFrom(16), GapFrom(999)};
  const Departure departure = DetectDeparture(kSteps, gaps, 0.05);
  EXPECT_EQ(departure.departed, 3);
  EXPECT_EQ(departure.seeds, 4);
  EXPECT_NEAR(departure.step.value, 8 * std::sqrt(2.0), 1e-9);
  EXPECT_LT(departure.step.low, departure.step.value);
}

}  // namespace
}  // namespace lorikeet
