#include "study/measure.h"

#include <gtest/gtest.h>

#include <cmath>

#include "study/study_for_test.h"

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

// A run of one step with this reward.
RunRecord RewardRun(double rate, uint64_t seed, double reward) {
  RunRecord record =
      MakeRecord(MakeSpec(false, 1, rate, seed, 1), [](const RunSpec&, int64_t) { return 1.0; });
  record.spec.run.objective = Rl();
  record.reward_steps = {{.reward = reward}};
  return record;
}

TEST(GoodBand, EndsWhereTheLineBetweenTwoRatesFallsBelow) {
  // The bound is 0.95: a third of the way from 0.96 to 0.93, and half of it from 1 to 0.9.
  const std::vector<RunRecord> records = {RewardRun(1e-6, 1, 0.93), RewardRun(1e-5, 1, 0.96),
                                          RewardRun(1e-4, 1, 1), RewardRun(1e-3, 1, 0.9)};
  const GoodBand band = BandOf(GroupRuns(records)[0], 1);
  EXPECT_NEAR(std::log10(band.low.value), -5 - 1.0 / 3, 1e-9);
  EXPECT_NEAR(std::log10(band.high.value), -3.5, 1e-9);
  EXPECT_NEAR(std::log10(band.width.value), 1.5 + 1.0 / 3, 1e-9);
  EXPECT_FALSE(band.Open());
}

TEST(GoodBand, SaysWhereItReachesTheEdgeInAnySeed) {
  const std::vector<RunRecord> records = {RewardRun(1e-5, 1, 0.5), RewardRun(1e-4, 1, 1),
                                          RewardRun(1e-3, 1, 0.5), RewardRun(1e-5, 2, 0.5),
                                          RewardRun(1e-4, 2, 1),   RewardRun(1e-3, 2, 0.96)};
  const GoodBand band = BandOf(GroupRuns(records)[0], 1);
  EXPECT_FALSE(band.open_low);
  EXPECT_TRUE(band.open_high);
  ASSERT_EQ(band.log_widths.size(), 2);
  EXPECT_NEAR(band.log_widths[0], 0.2, 1e-9);
  EXPECT_NEAR(band.log_widths[1], 1.1, 1e-9);
}

TEST(GoodBand, OnlyThePartAboutTheBestRateCounts) {
  const std::vector<RunRecord> records = {RewardRun(1e-6, 1, 0.99), RewardRun(1e-5, 1, 0),
                                          RewardRun(1e-4, 1, 1), RewardRun(1e-3, 1, 0)};
  const GoodBand band = BandOf(GroupRuns(records)[0], 1);
  EXPECT_NEAR(std::log10(band.width.value), 0.1, 1e-9);
}

}  // namespace
}  // namespace lorikeet
