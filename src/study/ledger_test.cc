#include "study/ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "study/statistics.h"
#include "study/study_for_test.h"

namespace lorikeet {
namespace {

double Falling(const RunSpec& spec, int64_t step) {
  return 3 / (1 + spec.learning_rate() * static_cast<double>(step));
}

TEST(Ledger, ARunIsItsSettings) {
  const RunSpec spec = MakeSpec(false, 4, 1e-3, 1);
  RunSpec moved = spec;
  moved.model = "elsewhere";
  EXPECT_EQ(RunId(moved), RunId(spec));
  RunSpec other = spec;
  other.run.adapter.b.eps = 2;
  EXPECT_NE(RunId(other), RunId(spec));
  EXPECT_EQ(ConditionKey(MakeSpec(false, 4, 5e-3, 2)), ConditionKey(spec));
  EXPECT_NE(ConditionKey(MakeSpec(false, 8, 1e-3, 1)), ConditionKey(spec));
  const RunSpec read = RunSpecFromJson(ToJson(other), "test");
  EXPECT_EQ(RunId(read), RunId(other));
  EXPECT_EQ(read.run.adapter.b.eps, 2);
}

// Runs from before mixtures were supported are still found: settings that a run does not have are
// not hashed.
TEST(Ledger, OptionsOfExpertsChangeNoOtherId) {
  const RunSpec spec = MakeSpec(false, 4, 1e-3, 1);
  EXPECT_EQ(RunId(spec), "9bb289cdb50a8c97");
  RunSpec ranked = spec, shared = spec;
  ranked.run.adapter.lora_expert_rank = 2;
  shared.run.adapter.lora_shared_outer = true;
  EXPECT_NE(ConditionKey(ranked), ConditionKey(spec));
  EXPECT_NE(ConditionKey(shared), ConditionKey(spec));
  EXPECT_EQ(RunSpecFromJson(ToJson(ranked), "test").run.adapter.lora_expert_rank, 2);
  EXPECT_TRUE(RunSpecFromJson(ToJson(shared), "test").run.adapter.lora_shared_outer);
}

TEST(Ledger, FinishedRunsComeBack) {
  const TemporaryFolder folder("study");
  const Ledger ledger(folder.path());
  const RunRecord record = MakeRecord(MakeSpec(false, 4, 1e-3, 1), Falling);
  EXPECT_FALSE(ledger.Has(record.id));
  ledger.Begin(record.spec);
  EXPECT_FALSE(ledger.Read(record.id).has_value());  // a begun run is not finished
  WriteRecord(ledger, record);
  const auto read = ledger.Read(record.id);
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(RunId(read->spec), record.id);
  ASSERT_EQ(read->evals.size(), record.evals.size());
  EXPECT_EQ(read->FinalLoss(), record.FinalLoss());
  EXPECT_EQ(read->losses, record.losses);
  EXPECT_NEAR(read->TrainSeconds(), 1.0, 1e-9);
  ledger.WriteIndex();
  EXPECT_NE(ReadFile(folder.path() + "/runs.jsonl").find(record.id), std::string::npos);
}

TEST(Ledger, DivergedRunsCountWithTheUntrainedLoss) {
  const RunRecord record = MakeRecord(MakeSpec(false, 4, 1, 1), [](const RunSpec&, int64_t step) {
    return step < 5 ? 3.0 - 0.1 * static_cast<double>(step) : kUnknown;
  });
  EXPECT_TRUE(record.diverged);
  EXPECT_EQ(record.FinalLoss(), 3.0);
  EXPECT_LT(record.LossAt(1), 3.0);  // earlier losses are unchanged
}

TEST(Ledger, ABrokenFileIsNamed) {
  const TemporaryFolder folder("study");
  const Ledger ledger(folder.path());
  const RunRecord record = MakeRecord(MakeSpec(false, 4, 1e-3, 1), Falling);
  WriteRecord(ledger, record);
  WriteFileAtomically(ledger.RunDir(record.id) + "/run.json", "{}");
  try {
    (void)ledger.Read(record.id);
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), testing::HasSubstr("run.json"));
  }
}

TEST(Ledger, OneProcessHoldsARun) {
  const TemporaryFolder folder("study");
  const Ledger ledger(folder.path());
  const RunLock first(ledger, "a");
  EXPECT_TRUE(first.held());
  EXPECT_FALSE(RunLock(ledger, "a").held());
  EXPECT_TRUE(RunLock(ledger, "b").held());
}

TEST(Ledger, EvaluationsStandAtEqualRatios) {
  EXPECT_THAT(LogSpacedSteps(64, 7), testing::ElementsAre(0, 1, 2, 4, 8, 16, 32, 64));
  EXPECT_THAT(LogSpacedSteps(3, 10), testing::ElementsAre(0, 1, 2, 3));
}

TEST(RunRecord, FinalRewardIsAMeanAndMissingStepsOfADivergedRunCountNothing) {
  RunRecord record;
  record.spec = MakeSpec(false, 1, 1e-4, 1, 4);
  record.spec.run.objective = Rl();
  record.spec.final_steps = 2;
  record.reward_steps = {{.reward = 0.25}, {.reward = 0.5}, {.reward = 0.75}, {.reward = 1}};
  EXPECT_EQ(record.RewardAt(0), 0.25);
  EXPECT_EQ(record.RewardAt(1), 0.25);
  EXPECT_EQ(record.RewardAt(4), 0.875);
  EXPECT_EQ(record.LossAt(4), 0.125);
  record.reward_steps.pop_back();
  EXPECT_TRUE(std::isnan(record.RewardAt(4)));
  record.diverged = true;
  EXPECT_EQ(record.RewardAt(4), 0.375);
  record.reward_steps.clear();
  EXPECT_EQ(record.RewardAt(4), 0);
}

}  // namespace
}  // namespace lorikeet
