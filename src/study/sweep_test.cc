#include "study/sweep.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "study/study_for_test.h"

namespace lorikeet {
namespace {

using ::testing::ElementsAre;

TEST(Sweep, ParabolaFindsAKnownOptimum) {
  // Points at unequal distances.
  const std::vector<double> x = {-5, -4, -3.3, -3, -2};
  std::vector<double> y;
  for (const double at : x) y.push_back(1 + 0.5 * (at + 3.4) * (at + 3.4));
  const Vertex vertex = ParabolaMinimum(x, y);
  EXPECT_TRUE(vertex.inside);
  EXPECT_NEAR(vertex.x, -3.4, 1e-9);
  EXPECT_NEAR(vertex.y, 1, 1e-9);
}

TEST(Sweep, AnOptimumAtTheEdgeIsNotInside) {
  const std::vector<double> x = {1, 2, 3}, rising = {1, 2, 3}, falling = {3, 2, 1};
  EXPECT_FALSE(ParabolaMinimum(x, rising).inside);
  EXPECT_FALSE(ParabolaMinimum(x, falling).inside);
  EXPECT_EQ(ParabolaMinimum(x, falling).x, 3);
}

TEST(Sweep, ADivergedNeighbourDoesNotDragTheOptimumFar) {
  const std::vector<double> x = {1, 2, 3}, y = {1.1, 1.0, 1e6}, unknown = {1.1, 1.0, kUnknown};
  for (const auto& losses : {y, unknown}) {
    const Vertex vertex = ParabolaMinimum(x, losses);
    EXPECT_TRUE(vertex.inside);
    EXPECT_GT(vertex.x, 1.5);
    EXPECT_LT(vertex.x, 2);
  }
}

TEST(Sweep, GridRatesAreSharedAndReadBack) {
  EXPECT_EQ(GridRate(-9, 3), 1e-3);
  EXPECT_EQ(GridRate(-8, 3), 2.15e-3);
  EXPECT_EQ(GridRate(0, 3), 1.0);
  for (int k = -30; k < 3; ++k) EXPECT_EQ(GridIndex(GridRate(k, 4), 4), k);
}

TEST(Sweep, GridGrowsBeyondTheEdgeThatHoldsAnOptimum) {
  EXPECT_TRUE(ExtendGrid({{0, {3}}, {1, {2}}, {2, {3}}}).empty());
  EXPECT_THAT(ExtendGrid({{0, {1}}, {1, {2}}, {2, {3}}}), ElementsAre(-2, -1));
  EXPECT_THAT(ExtendGrid({{0, {3}}, {1, {2}}, {2, {1}}}), ElementsAre(3, 4));
  // One seed at an edge is enough, and seeds may be at different edges.
  EXPECT_THAT(ExtendGrid({{0, {3, 1}}, {1, {2, 2}}, {2, {1, 3}}}), ElementsAre(-2, -1, 3, 4));
  // All diverged: try lower rates.
  EXPECT_THAT(ExtendGrid({{0, {9}}, {1, {9}}, {2, {9}}}), ElementsAre(-2, -1));
}

std::vector<RunRecord> Valley(double optimum, double spread, double lift) {
  std::vector<RunRecord> records;
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    for (int k = -12; k <= -4; ++k) {
      const double centre = std::log10(optimum) + spread * (static_cast<double>(seed) - 2);
      records.push_back(MakeRecord(
          MakeSpec(false, 4, GridRate(k, 3), seed), [&](const RunSpec& spec, int64_t step) {
            const double off = std::log10(spec.learning_rate()) - centre;
            return 3 + lift - std::log1p(static_cast<double>(step)) * (0.3 - 0.1 * off * off);
          }));
    }
  }
  return records;
}

TEST(Sweep, OptimumHasTheIntervalOfItsSeeds) {
  const std::vector<RunRecord> records = Valley(2e-3, 0.1, 0);
  const std::vector<Sweep> sweeps = GroupRuns(records);
  ASSERT_EQ(sweeps.size(), 1);
  EXPECT_EQ(sweeps[0].NumRuns(), 27);
  const Optimum optimum = OptimumAt(sweeps[0], 100);
  EXPECT_TRUE(optimum.bracketed);
  EXPECT_NEAR(optimum.rate.value, 2e-3, 1e-6);
  const double half = TQuantile(2) * 0.1 / std::sqrt(3.0);
  EXPECT_NEAR(std::log10(optimum.rate.high / optimum.rate.value), half, 1e-6);
  EXPECT_EQ(optimum.low_rate, 2.15e-3);  // the nearest rate of the grid
}

TEST(Sweep, DivergedRunsAreDataAndNeverWin) {
  std::vector<RunRecord> records = Valley(2e-3, 0, 0);
  for (RunRecord& record : records) {
    if (record.spec.learning_rate() > 9e-3) {
      record = MakeRecord(record.spec, [](const RunSpec&, int64_t step) {
        return step < 3 ? 0.1 : kUnknown;  // low, then diverged
      });
      record.evals.front().loss = 3;
    }
  }
  const std::vector<Sweep> sweeps = GroupRuns(records);
  const LossByRate losses = LossesAt(sweeps[0], 100);
  EXPECT_TRUE(losses.diverged.back());
  EXPECT_EQ(losses.means.back(), 3);
  EXPECT_LT(OptimumAt(sweeps[0], 100).rate.value, 5e-3);
}

TEST(Sweep, BestCurveIsThePointwiseMinimum) {
  std::vector<RunRecord> records;
  for (const double rate : {1e-3, 1e-2}) {  // fast and then stuck, or slow and then good
    records.push_back(
        MakeRecord(MakeSpec(false, 4, rate, 1), [](const RunSpec& spec, int64_t step) {
          const auto t = static_cast<double>(step);
          return spec.learning_rate() > 5e-3 ? std::max(2.0, 3 - t) : std::max(1.0, 3 - t / 50);
        }));
  }
  const std::vector<Sweep> sweeps = GroupRuns(records);
  const std::vector<double> curve = BestCurve(sweeps[0], 1);
  EXPECT_EQ(curve.front(), 3);
  EXPECT_EQ(curve[1], 2);
  EXPECT_EQ(curve.back(), 1);
}

TEST(Sweep, ConditionsAreToldApart) {
  std::vector<RunRecord> records = Valley(2e-3, 0, 0);
  records.push_back(
      MakeRecord(MakeSpec(true, 32, 1e-3, 1), [](const RunSpec&, int64_t) { return 1; }));
  records.push_back(
      MakeRecord(MakeSpec(false, 8, 1e-3, 1), [](const RunSpec&, int64_t) { return 1; }));
  const std::vector<Sweep> sweeps = GroupRuns(records);
  ASSERT_EQ(sweeps.size(), 3);
  EXPECT_TRUE(sweeps[0].spec.full());
  EXPECT_EQ(sweeps[2].spec.run.adapter.lora_r, 8);
}

}  // namespace
}  // namespace lorikeet
