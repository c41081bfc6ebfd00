#include "study/measure.h"

#include <gtest/gtest.h>

namespace lorikeet {
namespace {

TEST(Measure, AnIntervalOfCostsIsTurnedOverForRewards) {
  RunSpec spec;
  EXPECT_EQ(MeasureOf(spec).Value(0.25), 0.25);
  spec.run.objective = Rl();
  const Interval reward = MeasureOf(spec).Value(Interval{0.25, 0.125, 0.5, 3});
  EXPECT_EQ(reward.value, 0.75);
  EXPECT_EQ(reward.low, 0.5);
  EXPECT_EQ(reward.high, 0.875);
  EXPECT_NEAR(MeasureOf(spec).GoodCost(0.2, 0.9), 0.24, 1e-12);
}

}  // namespace
}  // namespace lorikeet
