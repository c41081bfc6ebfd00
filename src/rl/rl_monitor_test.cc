#include "rl/rl_monitor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lorikeet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A step of eight completions without any warning.
StepReport Good(double reward = 0.5) {
  StepReport report;
  report.reward = report.accuracy = reward;
  report.completions = 8;
  report.mean_length = 20;
  return report;
}

StepReport Flat(double reward) {
  StepReport report = Good(reward);
  report.without_signal = 1;
  return report;
}

StepReport Long(double length, double truncated) {
  StepReport report = Good();
  report.mean_length = length;
  report.truncated = truncated;
  return report;
}

StepReport Apart(double first, double last) {
  StepReport report = Good();
  report.update.first.kl = first;
  report.update.last.kl = last;
  return report;
}

// The warnings at the third of three steps like this one; the first two have none.
std::vector<std::string> WarningsOfThree(RlMonitor& monitor, const StepReport& report) {
  EXPECT_THAT(monitor.Observe(report), IsEmpty());
  EXPECT_THAT(monitor.Observe(report), IsEmpty());
  return monitor.Observe(report);
}

TEST(RlMonitor, StepsWithoutSignalAreReportedOnceAndAgainAfterOneWith) {
  RlMonitor monitor;
  EXPECT_THAT(WarningsOfThree(monitor, Flat(0.5)), ElementsAre(HasSubstr("nothing was learned")));
  for (int i = 0; i < 10; ++i) EXPECT_THAT(monitor.Observe(Flat(0.5)), IsEmpty());
  StepReport almost = Good();
  almost.without_signal = 0.875;
  EXPECT_THAT(monitor.Observe(almost), IsEmpty());
  EXPECT_THAT(WarningsOfThree(monitor, Flat(0.5)), ElementsAre(HasSubstr("3 steps without")));
}

TEST(RlMonitor, TwoStepsWithoutSignalGiveNoWarning) {
  RlMonitor monitor;
  for (int i = 0; i < 5; ++i) {
    EXPECT_THAT(monitor.Observe(Flat(0)), IsEmpty());
    EXPECT_THAT(monitor.Observe(Flat(0)), IsEmpty());
    EXPECT_THAT(monitor.Observe(Good()), IsEmpty());
  }
}

TEST(RlMonitor, WhyThereIsNoSignal) {
  RlMonitor wrong, right, invalid;
  EXPECT_THAT(WarningsOfThree(wrong, Flat(0)),
              ElementsAre(::testing::AllOf(HasSubstr("no completion was correct"),
                                           HasSubstr("an easier --difficulty"))));
  EXPECT_THAT(WarningsOfThree(right, Flat(1)),
              ElementsAre(::testing::AllOf(HasSubstr("every completion was correct"),
                                           HasSubstr("raise --difficulty"))));
  StepReport report = Flat(0);
  report.completions = 0;
  report.invalid = 8;
  EXPECT_THAT(WarningsOfThree(invalid, report),
              ElementsAre(::testing::AllOf(HasSubstr("every completion was invalid"),
                                           HasSubstr("transcripts/"))));
}

TEST(SignalTotals, WhyNothingWasLearned) {
  const auto why = [](const StepReport& report) {
    SignalTotals first, totals;
    first.Observe(report);
    totals.FromJson(Json::parse(first.ToJson().dump()));
    totals.Observe(report);
    return totals.WhyNothing();
  };
  StepReport invalid = Flat(0);
  invalid.completions = 0;
  invalid.invalid_reason = "the reward command ended (status 1)";
  EXPECT_THAT(why(invalid), HasSubstr("the last reason: the reward command ended (status 1)"));
  EXPECT_THAT(why(Flat(0)), HasSubstr("no completion was correct"));
  EXPECT_THAT(why(Flat(1)), HasSubstr("every completion was correct"));
  EXPECT_THAT(why(Flat(0.5)), HasSubstr("all had the same reward"));
  EXPECT_THAT(why(Good()), HasSubstr("a larger --learning-rate"));
}

TEST(RlMonitor, RunawayIsCutOffAndTwiceAsLong) {
  RlMonitor monitor;
  EXPECT_THAT(monitor.Observe(Long(20, 0.9)), IsEmpty());  // the first step is the reference
  EXPECT_THAT(monitor.Observe(Long(20, 0.9)), IsEmpty());
  EXPECT_THAT(monitor.Observe(Long(60, 0.4)), IsEmpty());  // long, but most are not cut off
  EXPECT_FALSE(monitor.runaway());
  EXPECT_THAT(monitor.Observe(Long(40, 0.5)),
              ElementsAre(::testing::AllOf(HasSubstr("runaway length"), HasSubstr("50"),
                                           HasSubstr("40 tokens on average against 20"))));
  EXPECT_TRUE(monitor.runaway());
  EXPECT_THAT(monitor.Observe(Long(60, 0.8)), IsEmpty());
  EXPECT_TRUE(monitor.runaway());
  EXPECT_THAT(monitor.Observe(Long(39, 0.8)), IsEmpty());
  EXPECT_FALSE(monitor.runaway());
  EXPECT_THAT(monitor.Observe(Long(40, 0.8)), ElementsAre(HasSubstr("runaway length")));
}

TEST(RlMonitor, APolicyFarFromItsSampler) {
  RlMonitor monitor;
  EXPECT_THAT(monitor.Observe(Apart(0, 0.01)), IsEmpty());
  EXPECT_THAT(monitor.Observe(Apart(0, 0.011)), ElementsAre(HasSubstr("0.011 nats a token")));
  EXPECT_THAT(monitor.Observe(Apart(0.02, 0)), IsEmpty());  // no new warning
  EXPECT_THAT(monitor.Observe(Apart(0, 0)), IsEmpty());
  // At the first update already: sampler and trainer do not agree.
  EXPECT_THAT(monitor.Observe(Apart(0.5, 0)), ElementsAre(HasSubstr("0.500 nats a token")));
}

TEST(RlMonitor, SeveralWarningsAtOnce) {
  RlMonitor monitor;
  monitor.Observe(Flat(1));
  monitor.Observe(Flat(1));
  StepReport report = Flat(1);
  report.mean_length = 50;
  report.truncated = 1;
  report.update.last.kl = 1;
  EXPECT_THAT(monitor.Observe(report), ElementsAre(HasSubstr("every completion was correct"),
                                                   HasSubstr("runaway"), HasSubstr("nats")));
}

TEST(RlMonitor, RewardsAtFirstAndOfTheLastSteps) {
  RlMonitor monitor;
  EXPECT_EQ(monitor.RecentReward(), 0);
  for (int i = 1; i <= 3; ++i) monitor.Observe(Good(i));
  EXPECT_EQ(monitor.RecentReward(), 2);
  for (int i = 4; i <= 30; ++i) monitor.Observe(Good(i));
  EXPECT_EQ(monitor.first_reward(), 1);
  EXPECT_EQ(RlMonitor::kRecent, 10U);
  EXPECT_EQ(monitor.RecentReward(), 25.5);  // mean of 21 to 30
}

// A monitor restored after any step continues as one that was never interrupted.
TEST(RlMonitor, StateSurvivesTheProcess) {
  const std::vector<StepReport> steps = {
      Flat(0),     Flat(0), Flat(0), Flat(0), Good(),       Long(50, 0.6), Long(50, 1),
      Apart(0, 1), Flat(1), Flat(1), Flat(1), Apart(1, 0.), Long(99, 0.5)};
  RlMonitor whole;
  for (size_t i = 0; i < steps.size(); ++i) {
    RlMonitor resumed;
    resumed.FromJson(Json::parse(whole.ToJson().dump()));
    EXPECT_EQ(resumed.ToJson(), whole.ToJson()) << i;
    EXPECT_EQ(resumed.runaway(), whole.runaway()) << i;
    EXPECT_EQ(resumed.Observe(steps[i]), whole.Observe(steps[i])) << i;
    EXPECT_EQ(resumed.ToJson(), whole.ToJson()) << i;
    EXPECT_EQ(resumed.RecentReward(), whole.RecentReward()) << i;
    EXPECT_EQ(resumed.first_reward(), whole.first_reward()) << i;
  }
}

TEST(RlMonitor, AnInvalidStateIsRefused) {
  RlMonitor monitor;
  monitor.Observe(Good());
  const Json state = monitor.ToJson();
  for (const auto& [key, value] : state.items()) {
    Json without = state, other = state;
    without.erase(key);
    other[key] = "many";
    RlMonitor fresh;
    EXPECT_THROW(fresh.FromJson(without), Json::exception) << key;
    EXPECT_THROW(fresh.FromJson(other), Json::exception) << key;
  }
  EXPECT_THROW(RlMonitor().FromJson(Json()), Json::exception);
}

}  // namespace
}  // namespace lorikeet
