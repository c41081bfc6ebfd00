#include "rl/advantages.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

namespace lorikeet {
namespace {

std::vector<Grade> Rewards(std::initializer_list<double> rewards) {
  std::vector<Grade> grades;
  for (const double reward : rewards) grades.push_back({Verdict::kCorrect, reward, ""});
  return grades;
}

TEST(Advantages, AreCentredAndNotDivided) {
  const GroupAdvantages group = AdvantagesOf(Rewards({1, 0, 0, 1, 1}), AdvantageKind::kCentred);
  const std::vector<double> expected = {0.4, -0.6, -0.6, 0.4, 0.4};
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(group.advantages[i], expected[i], 1e-15);
  }
  EXPECT_TRUE(group.has_signal);
}

TEST(Advantages, StandardisedDividesByTheSampleDeviation) {
  const GroupAdvantages group = AdvantagesOf(Rewards({2, 4, 9}), AdvantageKind::kStandardised);
  const double deviation = std::sqrt((9.0 + 1.0 + 16.0) / 2);
  EXPECT_NEAR(group.std, deviation, 1e-12);
  EXPECT_NEAR(group.advantages[0], -3 / (deviation + 1e-4), 1e-12);
  EXPECT_NEAR(group.advantages[2], 4 / (deviation + 1e-4), 1e-12);
}

TEST(Advantages, LeaveOneOutComparesWithTheOthers) {
  const GroupAdvantages group = AdvantagesOf(Rewards({2, 4, 9}), AdvantageKind::kLeaveOneOut);
  EXPECT_NEAR(group.advantages[0], 2 - 6.5, 1e-12);
  EXPECT_NEAR(group.advantages[1], 4 - 5.5, 1e-12);
  EXPECT_NEAR(group.advantages[2], 9 - 3.0, 1e-12);
}

TEST(Advantages, AnInvalidCompletionLeavesItsGroup) {
  std::vector<Grade> grades = Rewards({1, 0, 0});
  grades.insert(grades.begin() + 1, Grade::Invalid("late"));
  const GroupAdvantages group = AdvantagesOf(grades, AdvantageKind::kCentred);
  EXPECT_EQ(group.valid, 3);
  EXPECT_NEAR(group.mean, 1.0 / 3, 1e-15);
  EXPECT_EQ(group.advantages[1], 0);
  EXPECT_NEAR(std::accumulate(group.advantages.begin(), group.advantages.end(), 0.0), 0, 1e-15);
}

TEST(Advantages, NothingIsLearnedWithoutADifference) {
  for (const auto kind :
       {AdvantageKind::kCentred, AdvantageKind::kStandardised, AdvantageKind::kLeaveOneOut}) {
    EXPECT_FALSE(AdvantagesOf(Rewards({0.1, 0.1, 0.1}), kind).has_signal);
    EXPECT_FALSE(AdvantagesOf(Rewards({1}), kind).has_signal);
    const GroupAdvantages group = AdvantagesOf(Rewards({0.1, 0.1, 0.1}), kind);
    for (const double advantage : group.advantages) EXPECT_EQ(advantage, 0);
  }
  EXPECT_EQ(AdvantagesOf({}, AdvantageKind::kCentred).valid, 0);
}

}  // namespace
}  // namespace lorikeet
