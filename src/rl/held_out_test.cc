#include "rl/held_out.h"

#include <gtest/gtest.h>

#include <bit>

#include "core/parallel.h"
#include "rl/tiny_policy_for_test.h"

namespace lorikeet {
namespace {

// The share of the subsets of k of n samples that hold a correct one, if the first c are correct.
double ByEnumeration(int64_t n, int64_t c, int64_t k) {
  double subsets = 0, solved = 0;
  for (uint32_t subset = 0; subset < (uint32_t{1} << n); ++subset) {
    if (std::popcount(subset) != k) continue;
    subsets += 1;
    solved += (subset & ((uint32_t{1} << c) - 1)) != 0 ? 1 : 0;
  }
  return solved / subsets;
}

TEST(PassAtK, IsTheShareOfSubsetsThatHoldARightSample) {
  for (int64_t n = 1; n <= 8; ++n) {
    for (int64_t c = 0; c <= n; ++c) {
      for (int64_t k = 1; k <= n; ++k) {
        EXPECT_NEAR(PassAtK(n, c, k), ByEnumeration(n, c, k), 1e-14) << n << " " << c << " " << k;
      }
    }
  }
}

TEST(PassAtK, Edges) {
  EXPECT_EQ(PassAtK(1, 0, 1), 0);
  EXPECT_EQ(PassAtK(1, 1, 1), 1);
  EXPECT_EQ(PassAtK(1000, 0, 1000), 0);
  EXPECT_EQ(PassAtK(1000, 1, 1000), 1);
  EXPECT_EQ(PassAtK(1000, 500, 501), 1);  // only 500 are wrong
  EXPECT_NEAR(PassAtK(100000, 250, 1), 0.0025, 1e-12);
  // 1 - (C(n - c, k) / C(n, k)), where the binomials themselves would overflow.
  EXPECT_NEAR(PassAtK(100000, 1, 40000), 0.4, 1e-9);
}

std::vector<Problem> TinyProblems(int64_t count) {
  std::vector<Problem> problems;
  for (int64_t i = 0; i < count; ++i) problems.push_back(TinyProblem(i));
  return problems;
}

class HeldOut : public ::testing::Test {
 protected:
  // The model is too small to gain from more threads.
  void SetUp() override { SetNumThreads(1); }
  void TearDown() override { SetNumThreads(threads_); }
  HeldOutConfig Config(int64_t samples) const {
    HeldOutConfig config{.samples = samples};
    config.sampling.max_tokens = 6;
    config.sampling.seed = 5;
    config.sampling.stop_tokens = policy_.stop_tokens();
    return config;
  }
  HeldOutResult Solve(int64_t samples, const RewardFunction& reward) {
    return EvaluateHeldOut(policy_.generator(), policy_.format(), Config(samples), reward,
                           problems_);
  }

  int threads_ = NumThreads();
  TinyPolicy policy_;
  std::vector<Problem> problems_ = TinyProblems(5);
};

TEST_F(HeldOut, MoreSamplesSolveMore) {
  const HeldOutResult result = Solve(6, RewardAscii);
  std::vector<int64_t> counts;
  double before = 0;
  for (const auto& [k, share] : result.pass_at) {
    counts.push_back(k);
    EXPECT_GE(share, before);
    before = share;
  }
  EXPECT_EQ(counts, (std::vector<int64_t>{1, 2, 4, 6}));
  EXPECT_GT(result.pass_at.back().second, result.pass_at.front().second);
  EXPECT_GT(result.reward, 0);
  EXPECT_EQ(result.mean_length, 6);
  EXPECT_EQ(result.truncated, 1);
  EXPECT_EQ(result.invalid, 0);
}

TEST_F(HeldOut, IsAFunctionOfTheWeightsAlone) {
  const HeldOutResult once = Solve(4, RewardAscii);
  SetNumThreads(2);
  const HeldOutResult again = Solve(4, RewardAscii);
  EXPECT_EQ(once.accuracy, again.accuracy);
  EXPECT_EQ(once.reward, again.reward);
  EXPECT_EQ(once.pass_at, again.pass_at);
}

// For every problem sample 0 is correct, 1 is wrong, 2 is invalid, 3 is correct, and so on.
std::vector<Grade> InTurn(std::span<const RewardRequest> requests) {
  std::vector<Grade> grades;
  std::string_view prompt;
  int64_t sample = 0;
  for (const RewardRequest& request : requests) {
    sample = request.prompt == prompt ? sample + 1 : 0;
    prompt = request.prompt;
    grades.push_back(sample % 3 == 0   ? Grade::Correct()
                     : sample % 3 == 1 ? Grade::Wrong("no")
                                       : Grade::Invalid("late"));
  }
  return grades;
}

TEST_F(HeldOut, InvalidSamplesLeaveTheEstimate) {
  // Four of six samples are valid, two of these are correct.
  const HeldOutResult result = Solve(6, InTurn);
  ASSERT_EQ(result.pass_at.size(), 4U);
  EXPECT_NEAR(result.pass_at[0].second, 2.0 / 4, 1e-15);
  EXPECT_NEAR(result.pass_at[1].second, 1 - 1.0 / 6, 1e-15);  // one of six pairs has no correct one
  EXPECT_EQ(result.pass_at[2].second, 1);
  EXPECT_EQ(result.pass_at[3].first, 6);
  EXPECT_EQ(result.pass_at[3].second, 0);  // no problem has six valid samples
  EXPECT_EQ(result.accuracy, 1);           // the greedy sample is sample 0 of its prompt
}

TEST_F(HeldOut, WithoutSamplesThereIsOnlyTheGreedyOne) {
  const HeldOutResult result = Solve(0, [](std::span<const RewardRequest> requests) {
    std::vector<Grade> grades(requests.size(), Grade::Invalid("late"));
    grades[0] = Grade::Correct();
    grades[1] = Grade::Wrong("no");
    return grades;
  });
  EXPECT_TRUE(result.pass_at.empty());
  EXPECT_EQ(result.accuracy, 0.5);  // mean over the two that can be graded
  EXPECT_EQ(result.reward, 0.5);
  EXPECT_EQ(result.invalid, 3);
}

}  // namespace
}  // namespace lorikeet
