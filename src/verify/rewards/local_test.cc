#include <gtest/gtest.h>

#include <string>

#include "verify/rewards/function.h"
#include "verify/rewards/reward_for_test.h"

namespace lorikeet {
namespace {

Grade ThinkFormat(const std::string& completion, std::string_view prompt = "2+2?") {
  const RewardRequest request = {.prompt = prompt, .completion = completion};
  return ThinkFormatReward()({&request, 1})[0];
}

// Expected values by trl 1.16.0.
TEST(ThinkFormatReward, JudgesAsTrlDoes) {
  for (const char* good :
       {"<think>I add.</think>4", "<think>\nOne\n\ntwo.\n</think>\n4", "<think></think>",
        "<think>a</think>b</think>c", "<think></think>\n", "<think> 2 < 3 </think> <answer>4"}) {
    EXPECT_EQ(ThinkFormat(good).verdict, Verdict::kCorrect) << good;
    EXPECT_EQ(ThinkFormat(good).reward, 1) << good;
  }
  for (const char* bad :
       {"", "4", " <think>a</think>4", "\n<think>a</think>4", "<think>a",
        "<think>a<think>b</think>4", "<think>a</think><think>b</think>4", "<Think>a</Think>4",
        "</think><think>", "a</think>4", "So: <think>a</think>4"}) {
    EXPECT_EQ(ThinkFormat(bad).verdict, Verdict::kWrong) << bad;
    EXPECT_EQ(ThinkFormat(bad).reward, 0) << bad;
    EXPECT_NE(ThinkFormat(bad).reason, "") << bad;
  }
}

TEST(ThinkFormatReward, AThoughtThatThePromptOpensIsTheCompletionsToClose) {
  const std::string_view opened = "<|im_start|>assistant\n<think>\n";
  EXPECT_EQ(ThinkFormat("I add.</think>4", opened).verdict, Verdict::kCorrect);
  EXPECT_EQ(ThinkFormat("I add. 4", opened).verdict, Verdict::kWrong);
  EXPECT_EQ(ThinkFormat("<think>I add.</think>4", opened).verdict, Verdict::kWrong);
  EXPECT_EQ(ThinkFormat("I add.</think>4", "Write <think> first.").verdict, Verdict::kWrong);
}

TEST(GraderReward, AsksTheGraderOfEachProblem) {
  Problem exact, number;
  exact.grader = "exact";
  exact.answer = "Paris";
  number.grader = "gsm8k";
  number.answer = "#### 4";
  const std::vector<RewardRequest> requests = {{.problem = &exact, .completion = "Paris"},
                                               {.problem = &number, .completion = "2+2 is 4"},
                                               {.problem = &number, .completion = "Paris"}};
  const std::vector<Grade> grades = GraderReward()(requests);
  ASSERT_EQ(grades.size(), 3U);
  EXPECT_EQ(grades[0].verdict, Verdict::kCorrect);
  EXPECT_EQ(grades[1].verdict, Verdict::kCorrect);
  EXPECT_EQ(grades[2].verdict, Verdict::kWrong);
  EXPECT_TRUE(GraderReward()({}).empty());
}

}  // namespace
}  // namespace lorikeet
