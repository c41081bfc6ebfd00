#include "rl/problem_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "core/error.h"
#include "rl/tiny_policy_for_test.h"

namespace lorikeet {
namespace {

using ::testing::HasSubstr;

const std::vector<std::string> kTwoTasks = {"add", "sort_numbers"};

TEST(ProblemSource, TasksComeInTurnAndDependOnSeedAndIndexAlone) {
  const ProblemSource source = ProblemSource::Generated(kTwoTasks, 2);
  const auto one = source.OfSeed(1), again = source.OfSeed(1), other = source.OfSeed(2);
  EXPECT_EQ(one(0).task, "add");
  EXPECT_EQ(one(1).task, "sort_numbers");
  EXPECT_EQ(one(2).task, "add");
  EXPECT_EQ(one(7).id, again(7).id);
  EXPECT_NE(one(7).id, other(7).id);
  EXPECT_TRUE(source.generated());
}

TEST(ProblemSource, HeldOutProblemsAreOfEveryTaskAndNoneOfTheFirst) {
  const ProblemSource source = ProblemSource::Generated(kTwoTasks, std::nullopt);
  const std::vector<Problem> heldout = source.HeldOut(1, 6);
  ASSERT_EQ(heldout.size(), 6);
  std::set<std::string> ids;
  const auto at = source.OfSeed(1);
  for (int64_t i = 0; i < 100; ++i) ids.insert(at(i).id);
  for (const Problem& problem : heldout) EXPECT_FALSE(ids.contains(problem.id)) << problem.id;
  EXPECT_EQ(heldout[0].task, "add");
  EXPECT_EQ(heldout[1].task, "sort_numbers");
}

TEST(ProblemSource, UnknownTasksAndDifficultiesAreRefusedAtOnce) {
  EXPECT_THROW(ProblemSource::Generated(std::vector<std::string>{"ad"}, std::nullopt), Error);
  EXPECT_THROW(ProblemSource::Generated(std::vector<std::string>{"add"}, 1000), Error);
  EXPECT_THROW(ProblemSource::Generated({}, std::nullopt), Error);
  EXPECT_THROW(ProblemSource::Rows({}), Error);
}

std::vector<Problem> TenRows() {
  std::vector<Problem> rows;
  for (int64_t i = 0; i < 10; ++i) rows.push_back(TinyProblem(i));
  return rows;
}

TEST(ProblemSource, RowsComeOnceAnEpochInAnOrderOfTheSeeds) {
  const ProblemSource source = ProblemSource::Rows(TenRows());
  const auto at = source.OfSeed(1);
  for (const int64_t epoch : {0, 1}) {
    std::set<std::string> ids;
    for (int64_t i = 0; i < 10; ++i) ids.insert(at(epoch * 10 + i).id);
    EXPECT_EQ(ids.size(), 10);
  }
  std::string one, other;
  for (int64_t i = 0; i < 10; ++i) {
    one += at(i).id;
    other += source.OfSeed(2)(i).id;
  }
  EXPECT_NE(one, other);
  EXPECT_TRUE(source.HeldOut(1, 3).empty());
  EXPECT_EQ(source.rows().size(), 10);
}

TEST(ProblemSource, ASplitKeepsEveryRowOnce) {
  const auto [kept, heldout] = SplitProblems(TenRows(), 0.3, 42);
  EXPECT_EQ(kept.size(), 7);
  EXPECT_EQ(heldout.size(), 3);
  std::set<std::string> ids;
  for (const auto* side : {&kept, &heldout}) {
    for (const Problem& problem : *side) ids.insert(problem.id);
  }
  EXPECT_EQ(ids.size(), 10);
  try {
    SplitProblems(TenRows(), 0.01, 42);
    FAIL() << "nothing held out";
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), HasSubstr("eval_split"));
  }
}

TEST(ProblemSource, TheLongestPromptIsFoundAmongThoseThatAreAsked) {
  const TinyPolicy policy;
  const ChatFormat format = policy.format();
  const auto growing = [](int64_t index) {
    return TinyProblem(index, std::string(static_cast<size_t>(index) + 1, 'x'));
  };
  const int64_t first = LongestPrompt(format, growing, 1);
  EXPECT_EQ(LongestPrompt(format, growing, 5), first + 4);
  EXPECT_EQ(LongestPrompt(format, std::vector<Problem>{growing(4), growing(2)}), first + 4);
  EXPECT_EQ(LongestPrompt(format, std::vector<Problem>{}), 0);
}

}  // namespace
}  // namespace lorikeet
