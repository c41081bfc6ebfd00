#include "rl/rl_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

namespace lorikeet {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Rollout Completion(const std::string& text, std::vector<float> logprobs, StopReason reason,
                   Grade grade) {
  Rollout rollout;
  rollout.text = text;
  rollout.generation.tokens.assign(logprobs.size(), 3);
  rollout.generation.sampled_logprobs = std::move(logprobs);
  rollout.generation.reason = reason;
  rollout.grade = std::move(grade);
  return rollout;
}

// Three groups of two tasks: with signal, with equal rewards, and without a valid completion.
std::vector<Group> ThreeGroups() {
  constexpr auto kStop = StopReason::kStop, kLength = StopReason::kLength;
  std::vector<Group> groups(3);
  groups[0].problem.task = groups[2].problem.task = "add";
  groups[1].problem.task = "json";
  groups[0].rollouts = {Completion("12", {-1, -2}, kStop, Grade::Correct()),
                        Completion("13!!", {-1, -1, -1, -1}, kLength, Grade::Wrong("13 is not 12")),
                        Completion("?", {-0.5F}, kStop, Grade::Invalid("late"))};
  groups[1].rollouts = {Completion("{}", {-3, 0, 0}, kStop, Grade::Wrong("no key")),
                        Completion("{", {-0.5F}, kStop, Grade::Wrong("no object"))};
  groups[2].rollouts = {Completion("-----", {-1, -1, -1, -1, -1}, kLength, Grade::Invalid("gone"))};
  for (Group& group : groups) group.problem.id = group.problem.task + "-1";
  groups[0].problem.answer = "12";
  groups[0].prompt_text = "5+7?";
  return groups;
}

TEST(StepReport, FiguresByHand) {
  const StepReport report = ReportOf(ThreeGroups());
  EXPECT_EQ(report.completions, 4);
  EXPECT_EQ(report.invalid, 2);
  EXPECT_EQ(report.reward, 1.0 / 4);  // invalid completions do not count as 0
  EXPECT_EQ(report.accuracy, 1.0 / 4);
  EXPECT_EQ(report.by_task, (std::map<std::string, double>{{"add", 0.5}, {"json", 0}}));
  EXPECT_NEAR(report.without_signal, 2.0 / 3, 1e-15);
  EXPECT_EQ(report.sampled_tokens, 2 + 4 + 1 + 3 + 1 + 5);
  EXPECT_NEAR(report.mean_length, 16.0 / 6, 1e-15);
  EXPECT_EQ(report.max_length, 5);
  EXPECT_NEAR(report.truncated, 2.0 / 6, 1e-15);
  EXPECT_NEAR(report.entropy, (3 + 4 + 0.5 + 3 + 0.5 + 5) / 16, 1e-15);
  // Advantages 1/2, -1/2, 0, 0: shares of a quarter, a quarter and a half.
  EXPECT_NEAR(report.advantage_entropy, 0.25 * 2 + 0.25 * 2 + 0.5 * 1, 1e-15);
}

TEST(StepReport, RewardsNeedNotBeVerdicts) {
  std::vector<Group> groups = ThreeGroups();
  groups[0].rollouts[0].grade.reward = 0.75;
  groups[0].rollouts[1].grade.reward = -1.5;
  const StepReport report = ReportOf(std::span(groups).first(1));
  EXPECT_EQ(report.reward, -0.375);
  EXPECT_EQ(report.accuracy, 0.5);
  EXPECT_EQ(report.without_signal, 0);
  EXPECT_EQ(report.advantage_entropy, 1);
}

TEST(StepReport, NothingIsZeroAndNotNan) {
  const std::vector<Group> groups = ThreeGroups();
  for (const StepReport& report : {ReportOf({}), ReportOf(std::span(groups).subspan(2))}) {
    for (const auto& [name, value] : MetricsOf(report)) {
      EXPECT_TRUE(std::isfinite(value)) << name;
    }
    EXPECT_EQ(report.reward, 0);
    EXPECT_EQ(report.advantage_entropy, 0);
  }
  EXPECT_EQ(ReportOf(std::span(groups).subspan(2)).without_signal, 1);
}

std::map<std::string, double> ByName(const StepReport& report) {
  std::map<std::string, double> metrics;
  for (const auto& [name, value] : MetricsOf(report)) {
    EXPECT_TRUE(metrics.emplace(name, value).second) << name << " twice";
  }
  return metrics;
}

TEST(StepMetrics, EveryFigureUnderItsName) {
  StepReport report = ReportOf(ThreeGroups());
  report.rounds = 3;
  report.update = {
      .updates = 4,
      .first = {.logp_difference = 0.125, .kl = 0.5},
      .last = {.kl = 0.75, .ratio_min = 0.25, .ratio_mean = 1.5, .ratio_max = 8, .clipped = 0.375},
      .loss = -2.5,
      .grad_norm = 7,
      .base_kl = 0.0625,
      .tokens = 300};
  report.learning_rate = 1e-4;
  report.sampling_seconds = 2;
  report.training_seconds = 3;
  const std::map<std::string, double> expected = {
      {"reward", report.reward},
      {"reward/add", 0.5},
      {"reward/json", 0},
      {"accuracy", report.accuracy},
      {"frac_reward_zero_std", report.without_signal},
      {"advantage_entropy", 1.5},
      {"completions/mean_length", report.mean_length},
      {"completions/max_length", 5},
      {"completions/clipped_ratio", report.truncated},
      {"completions/invalid", 2},
      {"entropy", report.entropy},
      {"sampling/logp_difference_max", 0.125},
      {"sampling/kl", 0.5},
      {"sampling/rounds", 3},
      {"sampling/tokens", static_cast<double>(report.sampled_tokens)},
      {"training/tokens", 300},
      {"off_policy/updates", 4},
      {"off_policy/kl", 0.75},
      {"ratio/min", 0.25},
      {"ratio/mean", 1.5},
      {"ratio/max", 8},
      {"clip_ratio", 0.375},
      {"loss", -2.5},
      {"grad_norm", 7},
      {"learning_rate", 1e-4},
      {"kl", 0.0625},
      {"sampling_seconds", 2},
      {"training_seconds", 3},
      {"sampling/tokens_per_second", 8},
      {"training/tokens_per_second", 100}};
  EXPECT_EQ(ByName(report), expected);
}

TEST(StepMetrics, WhatWasNotMeasuredIsLeftOut) {
  const std::vector<Group> groups = ThreeGroups();
  const std::map<std::string, double> metrics = ByName(ReportOf(std::span(groups).first(1)));
  EXPECT_EQ(metrics.count("kl"), 0U);
  EXPECT_EQ(metrics.count("reward/add"), 0U);  // with one task it would equal "reward"
}

TEST(Transcripts, ShowTheBestTheWorstAndAnInvalidOne) {
  std::vector<Group> groups = ThreeGroups();
  groups[0].rollouts.push_back(groups[0].rollouts[1]);
  groups[0].rollouts.back().grade.reward = 0.5;
  groups[0].rollouts.back().text = "neither";
  const std::string text = Transcript(std::span(groups).first(1));
  EXPECT_EQ(text,
            "=== add-1 (answer 12), mean reward 0.500 of 3, 1 invalid\n"
            "5+7?\n"
            "--- reward 1, correct, 2 tokens (stop)\n"
            "12\n"
            "--- reward 0, wrong, 4 tokens (length): 13 is not 12\n"
            "13!!\n"
            "--- invalid, 1 tokens (stop): late\n"
            "?\n");
}

// An invalid completion has no reward, so it is neither better than a negative reward nor worse
// than a positive one.
TEST(Transcripts, AnInvalidOneIsNeitherBestNorWorst) {
  std::vector<Group> groups = ThreeGroups();
  groups[0].rollouts[0].grade.reward = -1;
  groups[0].rollouts[1].grade.reward = -2;
  const std::string text = Transcript(std::span(groups).first(1));
  EXPECT_THAT(text, HasSubstr("mean reward -1.500 of 2, 1 invalid\n"));
  EXPECT_THAT(text, HasSubstr("--- reward -1, correct"));
  EXPECT_THAT(text, HasSubstr("--- reward -2, wrong"));
  EXPECT_THAT(text, Not(HasSubstr("reward 0")));
}

// They could move a terminal's cursor, or pass for another entry.
TEST(Transcripts, HaveNoControlCharacters) {
  std::vector<Group> groups = ThreeGroups();
  groups[0].rollouts[0].grade.reason = "a\x1b[2Jb\n--- reward 9, correct";
  groups[0].rollouts[0].text = "two\nlines\t\x07\xc2\x9b";
  const std::string text = Transcript(std::span(groups).first(1));
  EXPECT_THAT(text, HasSubstr(": a\\x1b[2Jb\\n--- reward 9, correct\n"));
  EXPECT_THAT(text, HasSubstr("two\nlines\t\\x07\\x9b\n"));
}

TEST(Transcripts, GroupsOfOneKind) {
  const std::vector<Group> groups = ThreeGroups();
  const std::string flat = Transcript(std::span(groups).subspan(1, 1));
  EXPECT_THAT(flat, HasSubstr("{}\n"));
  EXPECT_THAT(flat, HasSubstr("no object\n{\n"));  // equal rewards: both are shown
  const std::string invalid = Transcript(std::span(groups).subspan(2));
  EXPECT_THAT(invalid, HasSubstr("=== add-1 (answer ), 1 invalid\n"));
  EXPECT_THAT(invalid, HasSubstr("--- invalid, 5 tokens (length): gone\n-----\n"));
  EXPECT_EQ(Transcript({}), "");
}

}  // namespace
}  // namespace lorikeet
