#include "verify/rewards/mix.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <limits>
#include <thread>

#include "core/error.h"
#include "verify/rewards/reward_for_test.h"

namespace lorikeet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

constexpr double kPatient = 60;

// The same grade for every completion.
WeightedReward Always(const std::string& name, double weight, Grade grade) {
  return {{name, weight}, [grade = std::move(grade)](std::span<const RewardRequest> requests) {
            return std::vector<Grade>(requests.size(), grade);
          }};
}

Grade Mixed(std::vector<WeightedReward> parts) {
  const RewardRequests requests(1);
  return MixRewards(std::move(parts))(requests.all())[0];
}

std::vector<double> PartsOf(const Grade& grade) {
  std::vector<double> rewards;
  for (const RewardPart& part : grade.parts) rewards.push_back(part.reward);
  return rewards;
}

TEST(RewardMix, AddsByWeightAndKeepsTheParts) {
  const Grade grade = Mixed({Always("grader", 2, Grade::Correct("read 4")),
                             Always("command", -0.5, {Verdict::kWrong, 3, ""}),
                             Always("think_format", 0.25, Grade::Wrong("no </think>"))});
  EXPECT_EQ(grade.verdict, Verdict::kCorrect);
  EXPECT_EQ(grade.reward, 0.5);
  ASSERT_EQ(grade.parts.size(), 3U);
  EXPECT_EQ(grade.parts[1].name, "command");
  EXPECT_THAT(PartsOf(grade), ElementsAre(1, 3, 0));
  EXPECT_EQ(grade.reason, "grader 1 (read 4); command 3; think_format 0 (no </think>)");
}

TEST(RewardMix, TheVerdictIsTheGradersOrTheFirstParts) {
  const Grade right = {Verdict::kCorrect, 0.5, ""}, wrong = {Verdict::kWrong, 0.5, ""};
  EXPECT_EQ(Mixed({Always("url", 1, right), Always("grader", 1, wrong)}).verdict, Verdict::kWrong);
  EXPECT_EQ(Mixed({Always("url", 1, right), Always("command", 1, wrong)}).verdict,
            Verdict::kCorrect);
  // Also with weight 0: then it only decides whether an answer is right.
  EXPECT_EQ(Mixed({Always("url", 1, wrong), Always("grader", 0, right)}).verdict,
            Verdict::kCorrect);
  EXPECT_EQ(Mixed({Always("url", 1, right), Always("grader", 0, Grade::Invalid("?"))}).verdict,
            Verdict::kCorrect);
}

TEST(RewardMix, OneThatDidNotComeMakesTheSumInvalidUnlessItWeighsNothing) {
  const Grade grade =
      Mixed({Always("grader", 1, Grade::Correct()), Always("url", 0.1, Grade::Invalid("late"))});
  EXPECT_EQ(grade.verdict, Verdict::kInvalid);
  EXPECT_EQ(grade.reward, 0);
  EXPECT_THAT(grade.reason, HasSubstr("url (late)"));
  EXPECT_EQ(grade.parts[0].reward, 1);
  EXPECT_TRUE(std::isnan(grade.parts[1].reward));

  const Grade reported =
      Mixed({Always("grader", 1, Grade::Correct()), Always("url", 0, Grade::Invalid("late"))});
  EXPECT_EQ(reported.verdict, Verdict::kCorrect);
  EXPECT_EQ(reported.reward, 1);
  EXPECT_TRUE(std::isnan(reported.parts[1].reward));
}

TEST(RewardMix, WhatIsNoFiniteNumberIsInvalid) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(Mixed({Always("url", 1, {Verdict::kCorrect, nan, ""})}).verdict, Verdict::kInvalid);
  const Grade huge = {Verdict::kCorrect, 1e308, ""};
  EXPECT_EQ(Mixed({Always("url", 10, huge)}).verdict, Verdict::kInvalid);
  EXPECT_EQ(Mixed({Always("url", 1, huge), Always("url2", 1, huge)}).verdict, Verdict::kInvalid);
  EXPECT_EQ(Mixed({Always("url", -1, huge), Always("url2", 1, huge)}).reward, 0);
  EXPECT_EQ(Mixed({Always("url", 1, {Verdict::kWrong, -7.5, ""})}).reward, -7.5);
}

// Each command returns the number of a completion: the parts of one must stay together.
TEST(RewardMix, SeveralCommandsKeepTheirOrder) {
  const std::string loop = "while read -r line; do id=${line#*:}; id=${id%%,*}; echo ";
  const RewardFunction reward = MixRewards(
      {{{"command", 1},
        ProcessReward(loop + R"("{\"id\":$id,\"reward\":$id}"; done)", kPatient),
        true},
       {{"command2", 10},
        ProcessReward("read -r a; read -r b; " + loop +
                          R"("{\"id\":$id,\"reward\":3}"; )"
                          R"(echo '{"id":2,"reward":2}'; echo '{"id":1,"invalid":true}'; done)",
                      kPatient),
        true}});
  const RewardRequests requests(3);
  const std::vector<Grade> grades = reward(requests.all());
  ASSERT_EQ(grades.size(), 3U);
  EXPECT_EQ(grades[0].verdict, Verdict::kInvalid);
  EXPECT_THAT(PartsOf(grades[1]), ElementsAre(2, 2));
  EXPECT_EQ(grades[1].reward, 22);
  EXPECT_EQ(grades[2].reward, 33);
  EXPECT_TRUE(reward({}).empty());
}

// Each waits until the others run, which never happens if they run one after the other.
TEST(RewardMix, ThoseOutsideAreAskedAtTheSameTime) {
  std::atomic<int> asked{0};
  const auto meet = [&asked](std::span<const RewardRequest> requests) {
    ++asked;
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (asked < 3 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    return std::vector<Grade>(requests.size(), asked < 3 ? Grade::Wrong("") : Grade::Correct());
  };
  const Grade grade =
      Mixed({{{"command", 1}, meet, true}, {{"grader", 1}, meet, false}, {{"url", 1}, meet, true}});
  EXPECT_EQ(grade.reward, 3);
}

TEST(RewardWeights, NamesWithAndWithoutWeights) {
  const std::vector<std::string> texts = {"grader", "think_format=0.2", " url2 = -1e-3 ",
                                          "command=+2"};
  std::vector<std::pair<std::string, double>> parts;
  for (const RewardWeight& part : ParseRewardWeights(texts)) {
    parts.emplace_back(part.name, part.weight);
  }
  EXPECT_THAT(parts, ElementsAre(Pair("grader", 1), Pair("think_format", 0.2), Pair("url2", -1e-3),
                                 Pair("command", 2)));
  EXPECT_TRUE(ParseRewardWeights({}).empty());
}

std::string ErrorOf(const std::vector<std::string>& texts) {
  try {
    ParseRewardWeights(texts);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(RewardWeights, RefusesWhatIsNoWeight) {
  for (const char* text : {"grader=", "grader=much", "grader=0.5x", "grader=nan", "grader=inf",
                           "grader=1e999", "grader=1=2", "grader=+-1"}) {
    EXPECT_THAT(ErrorOf({text}), HasSubstr("write grader=0.5")) << text;
  }
  EXPECT_THAT(ErrorOf({"url", "grader", "url=2"}), HasSubstr("'url' is named twice"));
  EXPECT_THAT(ErrorOf({"url=0", "grader=0"}), HasSubstr("every weight is 0"));
}

TEST(RewardPartSums, MeanAndDeviationOfWhatCame) {
  RewardPartSums sums;
  EXPECT_TRUE(sums.Figures().empty());
  sums.Add(Grade::Correct());  // has no parts
  EXPECT_TRUE(sums.Figures().empty());
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const double url : {1.0, nan, 4.0, 4.0}) {
    Grade grade;
    grade.parts = {{"url", url}, {"grader", 1}, {"url2", nan}};
    sums.Add(grade);
  }
  EXPECT_THAT(sums.Figures(),
              ElementsAre(Pair("rewards/grader/mean", 1), Pair("rewards/grader/std", 0),
                          Pair("rewards/url/mean", 3), Pair("rewards/url/std", std::sqrt(3.0))));
}

}  // namespace
}  // namespace lorikeet
