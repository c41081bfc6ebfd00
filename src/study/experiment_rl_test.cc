// Tests that conclusions follow from the data: synthetic runs with rewards and known ground truth.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "study/experiment.h"
#include "study/study.h"
#include "study/study_for_test.h"

namespace lorikeet {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

constexpr int64_t kSteps = 40;
constexpr double kUntrained = 0.1;

// Final reward by rate: a parabola about `rate` with its top at `top`; `width` decades away nothing
// is learned, and above that the run breaks.
struct Method {
  double rate, top, width;
};
using Methods = std::function<Method(const RunSpec&)>;

RunRecord MakeRun(const RunSpec& spec, const Method& method) {
  RunRecord record;
  record.spec = spec;
  record.id = RunId(spec);
  record.trainable = spec.full() ? 1000000 : 100000 * spec.run.adapter.lora_r;
  record.flops_per_token = 100;
  record.tokens = 1000;
  record.facts = {
      {"parameters", 1e6}, {"hidden_size", 64}, {"heldout_problems", 32}, {"prompt_tokens", 20.0}};
  const double jitter = 0.02 * (static_cast<double>(spec.seed()) - 2);
  const double off = (std::log10(spec.learning_rate() / method.rate) + jitter) / method.width;
  const double final_reward =
      std::max(kUntrained, kUntrained + (method.top - kUntrained) * (1 - off * off)) +
      0.005 * jitter;
  record.diverged = off > 1.5;
  record.steps = record.diverged ? kSteps / 2 : kSteps;
  for (int64_t i = 0; i < record.steps; ++i) {
    const double t = std::min(1.0, static_cast<double>(i) / (0.5 * kSteps));
    record.reward_steps.push_back({.reward = std::lerp(kUntrained, final_reward, t),
                                   .advantage_entropy = 1.5,
                                   .mean_length = 10});
    record.step_seconds.push_back(0.1);
  }
  for (const int64_t step : {int64_t{0}, record.steps}) {
    record.evals.push_back(
        {.step = step, .loss = kUnknown, .solved = step == 0 ? 0.25 : final_reward});
  }
  return record;
}

std::vector<RunRecord> Runs(const std::vector<int>& ranks, const Methods& methods, int seeds = 3) {
  std::vector<RunRecord> records;
  for (const int rank : ranks) {  // 0: full
    for (int seed = 1; seed <= seeds; ++seed) {
      for (int k = -18; k <= -6; ++k) {
        RunSpec spec = MakeSpec(rank == 0, std::max(rank, 1), GridRate(k, 3),
                                static_cast<uint64_t>(seed), kSteps);
        spec.eval_at = {0, kSteps};
        spec.run.steps.batch_size = 8;
        Rl& rewards = spec.run.objective.emplace<Rl>();
        rewards.task = {"add"};
        rewards.group_size = 4;
        spec.final_steps = 1;
        records.push_back(MakeRun(spec, methods(spec)));
      }
    }
  }
  return records;
}

StudySettings Settings() {
  StudySettings settings = DefaultSettings();
  settings.steps = kSteps;
  return settings;
}

const Methods kAsTheArticle = [](const RunSpec& s) {
  return s.full() ? Method{1e-5, 0.9, 0.6} : Method{1e-4, 0.9, 1.2};
};

Finding Find(const Report& report, const std::string& part) {
  for (const Finding& finding : report.findings) {
    if (finding.claim.find(part) != std::string::npos) return finding;
  }
  ADD_FAILURE() << "no finding about " << part;
  return {};
}

TEST(ExperimentRl, TheArticlesPictureIsFoundWhereItIsTrue) {
  const Report report = kRlExperiment.analyse(Settings(), Runs({0, 1, 16}, kAsTheArticle));
  const Finding reward = Find(report, "final reward of LoRA rank 1 ");
  EXPECT_NEAR(reward.here.value, 0, 0.01);
  EXPECT_EQ(reward.agrees, Agreement::kYes);
  for (const char* name : {"best rate of LoRA rank 1 ", "best rate of LoRA rank 16 "}) {
    const Finding ratio = Find(report, name);
    EXPECT_NEAR(ratio.here.value, 10, 0.5);
    EXPECT_EQ(ratio.agrees, Agreement::kYes);
  }
  const Finding band = Find(report, "band of good rates of LoRA rank 1 ");
  EXPECT_GT(band.here.value, 1.3);
  EXPECT_EQ(band.agrees, Agreement::kYes);
  const std::string words = ConclusionsText(report);
  EXPECT_THAT(words, HasSubstr("equal, as the article says"));
  EXPECT_THAT(words, HasSubstr("LoRA's is wider, as the article says"));
  EXPECT_THAT(words, HasSubstr("differ from the trainer's by at most 0 "));
}

TEST(ExperimentRl, OtherRunsGiveOtherConclusions) {
  const Report report =
      kRlExperiment.analyse(Settings(), Runs({0, 1}, [](const RunSpec& s) {
                              return s.full() ? Method{1e-5, 0.9, 1.2} : Method{2e-5, 0.5, 0.6};
                            }));
  EXPECT_EQ(Find(report, "final reward of LoRA rank 1 ").agrees, Agreement::kNo);
  EXPECT_NEAR(Find(report, "final reward of LoRA rank 1 ").here.value, -0.4, 0.02);
  EXPECT_EQ(Find(report, "best rate of LoRA rank 1 ").agrees, Agreement::kNo);
  EXPECT_EQ(Find(report, "band of good rates").agrees, Agreement::kNo);
  const std::string words = ConclusionsText(report);
  EXPECT_THAT(words, HasSubstr("full fine-tuning is better"));
  EXPECT_THAT(words, HasSubstr("outside the range of its own figures"));
  EXPECT_THAT(words, HasSubstr("narrower, against the article"));
}

TEST(ExperimentRl, PeopleReadRewardsNotCosts) {
  const auto records = Runs({0, 1}, kAsTheArticle);
  const Report report = kRlExperiment.analyse(Settings(), records);
  const Figure& by_rate = report.figures.front();
  EXPECT_THAT(by_rate.ylabel, HasSubstr("reward"));
  double highest = 0;
  for (const double y : by_rate.series[1].y) highest = std::max(highest, y);
  EXPECT_NEAR(highest, 0.9, 0.02);
  ASSERT_EQ(report.tables.size(), 1);
  EXPECT_THAT(report.tables[0].header, Contains("highest final reward"));
  EXPECT_THAT(report.tables[0].rows[0], Contains(HasSubstr("0.89")));
  EXPECT_THAT(report.tables[0].rows[0], Contains(HasSubstr("25.0 %")));
}

TEST(ExperimentRl, BitsAreCountedFromTheAdvantages) {
  const Report report = kRlExperiment.analyse(Settings(), Runs({0, 1}, kAsTheArticle));
  const Finding bits = Find(report, "bits");
  // 40 steps of 8 x 4 episodes with 1.5 bits each, 100,000 parameters.
  EXPECT_NEAR(bits.here.value, 40 * 32 * 1.5 / 100000, 1e-9);
  EXPECT_EQ(bits.agrees, Agreement::kYes);
  EXPECT_THAT(ConclusionsText(report), HasSubstr("A run learns from 1,280 episodes"));
}

TEST(ExperimentRl, BrokenRunsAreCountedAndNamed) {
  auto records = Runs({0, 1}, kAsTheArticle);
  int diverged = 0;
  for (const RunRecord& record : records) {
    if (record.spec.full() && record.diverged) ++diverged;
  }
  ASSERT_GT(diverged, 0);
  for (RunRecord& record : records) {
    if (!record.spec.full() && record.diverged) {
      record.diverged = false;
      record.reward_steps.resize(kSteps, {.reward = 1, .runaway = true});
    }
  }
  const Report report = kRlExperiment.analyse(Settings(), records);
  EXPECT_THAT(report.tables[0].rows[0], Contains(std::to_string(diverged)));
  const std::string words = ConclusionsText(report);
  EXPECT_THAT(words, HasSubstr("full from"));
  EXPECT_THAT(words, HasSubstr("(runaway length)"));
}

TEST(ExperimentRl, AnOptimumAtTheEdgeAndAnOpenBandAreRefused) {
  const Report report = kRlExperiment.analyse(Settings(), Runs({0, 1}, [](const RunSpec& s) {
                                                return Method{s.full() ? 1e-9 : 1e-4, 0.9, 3};
                                              }));
  const std::string words = ConclusionsText(report);
  EXPECT_THAT(words, HasSubstr("No ratio of best rates is stated"));
  EXPECT_THAT(words, HasSubstr("the two are not compared"));
}

TEST(ExperimentRl, OneSeedDecidesNothing) {
  const Report report = kRlExperiment.analyse(Settings(), Runs({0, 1}, kAsTheArticle, 1));
  ASSERT_FALSE(report.findings.empty());
  for (const Finding& finding : report.findings) {
    EXPECT_EQ(finding.agrees, Agreement::kUndecided) << finding.claim;
  }
}

TEST(ExperimentRl, OnlyRunsWithRewardsCount) {
  EXPECT_THROW(kRlExperiment.analyse(Settings(), {}), Error);
  const std::vector<RunRecord> others = {
      MakeRecord(MakeSpec(false, 1, 1e-4, 1), [](const RunSpec&, int64_t) { return 1.0; })};
  EXPECT_THROW(kRlExperiment.analyse(Settings(), others), Error);
}

}  // namespace
}  // namespace lorikeet
