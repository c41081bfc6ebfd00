#include "rl/rl_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lorikeet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A step of eight completions of which nothing is to be said.
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

// Notes of steps like this one, until there is one.
std::vector<std::string> NotesOfThree(RlWatch& watch, const StepReport& report) {
  EXPECT_THAT(watch.Look(report), IsEmpty());
  EXPECT_THAT(watch.Look(report), IsEmpty());
  return watch.Look(report);
}

TEST(RlWatch, StepsWithoutSignalAreSaidOnceAndAgainAfterOneWith) {
  RlWatch watch;
  EXPECT_THAT(NotesOfThree(watch, Flat(0.5)), ElementsAre(HasSubstr("nothing was learned")));
  for (int i = 0; i < 10; ++i) EXPECT_THAT(watch.Look(Flat(0.5)), IsEmpty());
  StepReport almost = Good();
  almost.without_signal = 0.875;
  EXPECT_THAT(watch.Look(almost), IsEmpty());
  EXPECT_THAT(NotesOfThree(watch, Flat(0.5)), ElementsAre(HasSubstr("3 steps without")));
}

TEST(RlWatch, TwoStepsWithoutSignalAreNothing) {
  RlWatch watch;
  for (int i = 0; i < 5; ++i) {
    EXPECT_THAT(watch.Look(Flat(0)), IsEmpty());
    EXPECT_THAT(watch.Look(Flat(0)), IsEmpty());
    EXPECT_THAT(watch.Look(Good()), IsEmpty());
  }
}

TEST(RlWatch, WhyThereIsNoSignal) {
  RlWatch wrong, right, invalid;
  EXPECT_THAT(NotesOfThree(wrong, Flat(0)),
              ElementsAre(::testing::AllOf(HasSubstr("no answer was right"),
                                           HasSubstr("an easier --difficulty"))));
  EXPECT_THAT(NotesOfThree(right, Flat(1)),
              ElementsAre(::testing::AllOf(HasSubstr("every answer was right"),
                                           HasSubstr("raise --difficulty"))));
  StepReport report = Flat(0);
  report.completions = 0;
  report.invalid = 8;
  EXPECT_THAT(NotesOfThree(invalid, report),
              ElementsAre(::testing::AllOf(HasSubstr("every answer was invalid"),
                                           HasSubstr("transcripts/"))));
}

TEST(RlWatch, RunawayIsCutOffAndTwiceAsLong) {
  RlWatch watch;
  EXPECT_THAT(watch.Look(Long(20, 0.9)), IsEmpty());  // the first step is the measure
  EXPECT_THAT(watch.Look(Long(20, 0.9)), IsEmpty());
  EXPECT_THAT(watch.Look(Long(60, 0.4)), IsEmpty());  // long, but most come to an end
  EXPECT_FALSE(watch.runaway());
  EXPECT_THAT(watch.Look(Long(40, 0.5)),
              ElementsAre(::testing::AllOf(HasSubstr("runaway length"), HasSubstr("50"),
                                           HasSubstr("40 tokens on average against 20"))));
  EXPECT_TRUE(watch.runaway());
  EXPECT_THAT(watch.Look(Long(60, 0.8)), IsEmpty());
  EXPECT_TRUE(watch.runaway());
  EXPECT_THAT(watch.Look(Long(39, 0.8)), IsEmpty());
  EXPECT_FALSE(watch.runaway());
  EXPECT_THAT(watch.Look(Long(40, 0.8)), ElementsAre(HasSubstr("runaway length")));
}

TEST(RlWatch, APolicyFarFromItsSampler) {
  RlWatch watch;
  EXPECT_THAT(watch.Look(Apart(0, 0.01)), IsEmpty());
  EXPECT_THAT(watch.Look(Apart(0, 0.011)), ElementsAre(HasSubstr("0.011 nats a token")));
  EXPECT_THAT(watch.Look(Apart(0.02, 0)), IsEmpty());  // still
  EXPECT_THAT(watch.Look(Apart(0, 0)), IsEmpty());
  // Already at the first update: a sampler that is not the trainer.
  EXPECT_THAT(watch.Look(Apart(0.5, 0)), ElementsAre(HasSubstr("0.500 nats a token")));
}

TEST(RlWatch, SeveralThingsAtOnce) {
  RlWatch watch;
  watch.Look(Flat(1));
  watch.Look(Flat(1));
  StepReport report = Flat(1);
  report.mean_length = 50;
  report.truncated = 1;
  report.update.last.kl = 1;
  EXPECT_THAT(watch.Look(report), ElementsAre(HasSubstr("every answer was right"),
                                              HasSubstr("runaway"), HasSubstr("nats")));
}

TEST(RlWatch, RewardsAtFirstAndOfTheLastSteps) {
  RlWatch watch;
  EXPECT_EQ(watch.RecentReward(), 0);
  for (int i = 1; i <= 3; ++i) watch.Look(Good(i));
  EXPECT_EQ(watch.RecentReward(), 2);
  for (int i = 4; i <= 30; ++i) watch.Look(Good(i));
  EXPECT_EQ(watch.first_reward(), 1);
  EXPECT_EQ(RlWatch::kRecent, 10U);
  EXPECT_EQ(watch.RecentReward(), 25.5);  // of 21 to 30
}

// Cut after any step, the watch goes on as if it had not been.
TEST(RlWatch, StateOutlivesTheProcess) {
  const std::vector<StepReport> steps = {
      Flat(0),     Flat(0), Flat(0), Flat(0), Good(),       Long(50, 0.6), Long(50, 1),
      Apart(0, 1), Flat(1), Flat(1), Flat(1), Apart(1, 0.), Long(99, 0.5)};
  RlWatch whole;
  for (size_t i = 0; i < steps.size(); ++i) {
    RlWatch resumed;
    resumed.FromJson(Json::parse(whole.ToJson().dump()));
    EXPECT_EQ(resumed.ToJson(), whole.ToJson()) << i;
    EXPECT_EQ(resumed.runaway(), whole.runaway()) << i;
    EXPECT_EQ(resumed.Look(steps[i]), whole.Look(steps[i])) << i;
    EXPECT_EQ(resumed.ToJson(), whole.ToJson()) << i;
    EXPECT_EQ(resumed.RecentReward(), whole.RecentReward()) << i;
    EXPECT_EQ(resumed.first_reward(), whole.first_reward()) << i;
  }
}

TEST(RlWatch, AStateThatIsNoneIsRefused) {
  RlWatch watch;
  watch.Look(Good());
  const Json state = watch.ToJson();
  for (const auto& [key, value] : state.items()) {
    Json without = state, other = state;
    without.erase(key);
    other[key] = "many";
    RlWatch fresh;
    EXPECT_THROW(fresh.FromJson(without), Json::exception) << key;
    EXPECT_THROW(fresh.FromJson(other), Json::exception) << key;
  }
  EXPECT_THROW(RlWatch().FromJson(Json()), Json::exception);
}

}  // namespace
}  // namespace lorikeet
