#include "study/statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace lorikeet {
namespace {

TEST(Statistics, MeanIntervalIsStudentsT) {
  const std::vector<double> values = {1, 2, 3};
  const Interval interval = MeanInterval(values);
  EXPECT_DOUBLE_EQ(interval.value, 2);
  EXPECT_NEAR(interval.high, 2 + 4.303 / std::sqrt(3.0), 1e-3);  // s = 1
  EXPECT_NEAR(interval.low, 2 - 4.303 / std::sqrt(3.0), 1e-3);
  EXPECT_TRUE(interval.Known());
}

TEST(Statistics, OneValueHasNoInterval) {
  const std::vector<double> values = {3, kUnknown};
  const Interval interval = MeanInterval(values);
  EXPECT_DOUBLE_EQ(interval.value, 3);
  EXPECT_FALSE(interval.Known());
  EXPECT_NE(interval.Text().find("no interval"), std::string::npos);
}

TEST(Statistics, TQuantileGoesToTheNormalOnes) {
  EXPECT_DOUBLE_EQ(TQuantile(1), 12.706);
  EXPECT_NEAR(TQuantile(40), 2.0211, 2e-4);
  EXPECT_NEAR(TQuantile(1000000), 1.95997, 1e-4);
  EXPECT_TRUE(std::isnan(TQuantile(0)));
}

TEST(Statistics, IntervalOfLogarithmsIsOfRatios) {
  const Interval ratio = FromLog10({1, 0.9, 1.1, 3});
  EXPECT_NEAR(ratio.value, 10, 1e-9);
  EXPECT_NEAR(ratio.low, 7.943, 1e-3);
}

TEST(Statistics, LineIsFound) {
  const std::vector<double> x = {0, 1, 2, 3}, y = {5, 3, 1, -1};
  const Line line = FitLine(x, y);
  EXPECT_NEAR(line.slope, -2, 1e-12);
  EXPECT_NEAR(line.intercept, 5, 1e-12);
  const std::vector<double> same = {1, 1};
  EXPECT_TRUE(std::isnan(FitLine(same, same).slope));
}

}  // namespace
}  // namespace lorikeet
