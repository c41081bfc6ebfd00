#include "rl/overlong.h"

#include <gtest/gtest.h>

namespace lorikeet {
namespace {

TEST(Overlong, FallsInALineOverTheBuffer) {
  // The numbers of DAPO: no penalty up to 16384 tokens, then a buffer of 4096.
  EXPECT_EQ(OverlongPenalty(0, 20480, 4096), 0);
  EXPECT_EQ(OverlongPenalty(16384, 20480, 4096), 0);
  EXPECT_EQ(OverlongPenalty(16385, 20480, 4096), -1.0 / 4096);
  EXPECT_EQ(OverlongPenalty(18432, 20480, 4096), -0.5);
  EXPECT_EQ(OverlongPenalty(20480, 20480, 4096), -1);
}

TEST(Overlong, ABufferOfAllTokensAndOfOne) {
  EXPECT_EQ(OverlongPenalty(1, 4, 4), -0.25);
  EXPECT_EQ(OverlongPenalty(4, 4, 4), -1);
  EXPECT_EQ(OverlongPenalty(3, 4, 1), 0);
  EXPECT_EQ(OverlongPenalty(4, 4, 1), -1);
}

Rollout OfLength(size_t tokens, Grade grade) {
  Rollout rollout;
  rollout.generation.tokens.assign(tokens, 7);
  rollout.grade = std::move(grade);
  return rollout;
}

TEST(Overlong, RewardsFallAndVerdictsStay) {
  std::vector<Group> groups(2);
  groups[0].rollouts = {OfLength(6, Grade::Correct("fine")), OfLength(9, Grade::Correct()),
                        OfLength(10, Grade::Wrong("no"))};
  groups[1].rollouts = {OfLength(10, Grade::Invalid("late"))};
  AddOverlongPenalties(10, 4, groups);
  const auto grade = [&](size_t group, size_t rollout) {
    return groups[group].rollouts[rollout].grade;
  };
  EXPECT_EQ(grade(0, 0).reward, 1);
  EXPECT_EQ(grade(0, 1).reward, 1 - 0.75);
  EXPECT_EQ(grade(0, 2).reward, -1);
  EXPECT_EQ(grade(0, 0).verdict, Verdict::kCorrect);
  EXPECT_EQ(grade(0, 0).reason, "fine");
  EXPECT_EQ(grade(0, 1).verdict, Verdict::kCorrect);
  EXPECT_EQ(grade(0, 2).verdict, Verdict::kWrong);
  EXPECT_EQ(grade(1, 0).verdict, Verdict::kInvalid);
}

}  // namespace
}  // namespace lorikeet
