// Tests of study runs that learn from rewards, on a tiny chat model.
#include "study/reward_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <sstream>

#include "core/threads_scope_for_test.h"
#include "rl/tiny_policy_for_test.h"
#include "study/runner.h"
#include "study/study.h"
#include "study/study_for_test.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

// A completion is correct if it has two printable ASCII characters in a row: some random ones do,
// some do not.
Problem LetterProblem(int64_t index) {
  Problem problem = TinyProblem(index);
  problem.grader = "regex";
  problem.answer = "[ -~]{2}";
  return problem;
}

class RewardRun : public ::testing::Test {
 protected:
  static StudyModel Load(const std::string& path) {
    StudyModel model;
    model.path = path;
    model.base = Model::Load(path, DType::kF32);
    model.reload = [path] { return Model::Load(path, DType::kF32); };
    std::vector<Problem> rows;
    for (int64_t i = 0; i < 20; ++i) rows.push_back(LetterProblem(i));
    for (int64_t i = 20; i < 24; ++i) model.heldout_problems.push_back(LetterProblem(i));
    TokenizerBundle text = MakeTinyBundle({.chat_template = kChatMl});
    ChatTemplate chat_template(text.chat_template, "tiny bundle", text.bos_token, text.eos_token);
    model.problems = std::make_shared<StudyProblems>(StudyProblems{
        ProblemSource::Rows(std::move(rows)), std::move(text), std::move(chat_template), {}});
    model.model_fingerprint = "tiny";
    model.data_fingerprint = FingerprintOf(*model.problems, model.heldout_problems);
    model.prompt_tokens = MeanPrompt(*model.problems, model.heldout_problems);
    return model;
  }

  RunSpec Spec(bool full, double rate, int64_t steps = 6) const {
    RunSpec spec = MakeSpec(full, 2, rate, 1, steps);
    spec.model = model_.path();
    spec.run.steps.batch_size = 4;
    spec.run.steps.micro_batch_tokens = 256;
    spec.run.optimizer.max_grad_norm = 1;
    spec.run.adapter.target_modules = {"all-linear", "lm_head"};
    spec.eval_at = {0, 3, steps};
    Rl& rewards = spec.run.objective.emplace<Rl>();
    rewards.group_size = 4;
    rewards.max_tokens = 6;
    spec.final_steps = 2;
    return spec;
  }
  // All output of a run except its times.
  std::string Timeless(const std::string& id) const {
    std::string text;
    std::istringstream lines(ReadFile(ledger_.RunDir(id) + "/metrics.jsonl"));
    for (std::string line; std::getline(lines, line);) {
      Json json = Json::parse(line);
      for (const std::string part : {"sampling", "training"}) {
        json.erase(part + "_seconds");
        json.erase(part + "/tokens_per_second");
      }
      text += json.dump() + "\n";
    }
    return text;
  }

  TemporaryFolder folder_{"study"};
  RandomModel model_{kTinyChat, "reward_run"};
  Ledger ledger_{folder_.path()};
  Executor executor_{ledger_, Load};
  ThreadsScope one_thread_{1};  // more threads would only wait in a model this small
};

TEST_F(RewardRun, LeavesRewardsAndEvaluationsAndNoWeights) {
  Runner runner(ledger_, executor_, {.quiet = true});
  for (const bool full : {false, true}) {
    const RunSpec spec = Spec(full, full ? 1e-2 : 5e-2, 20);
    ASSERT_TRUE(runner.RunAll({spec}));
    const auto record = ledger_.Read(RunId(spec));
    ASSERT_TRUE(record.has_value());
    EXPECT_FALSE(record->diverged);
    EXPECT_EQ(record->steps, 20);
    ASSERT_EQ(record->reward_steps.size(), 20);
    EXPECT_EQ(record->step_seconds.size(), 20);
    EXPECT_NE(record->RewardAt(20), record->RewardAt(0));
    EXPECT_EQ(record->LossAt(20), 1 - record->RewardAt(20));
    int64_t sampled = 0;
    for (const RewardStep& step : record->reward_steps) {
      EXPECT_EQ(step.logp_difference, 0);
      sampled += step.sampled_tokens;
    }
    EXPECT_GT(sampled, 0);
    EXPECT_EQ(record->trained_tokens, sampled);
    EXPECT_GT(record->sampling_flops, 0);
    std::vector<int64_t> evaluated;
    for (const EvalPoint& point : record->evals) {
      evaluated.push_back(point.step);
      EXPECT_GE(point.solved, 0);
    }
    EXPECT_EQ(evaluated, (std::vector<int64_t>{0, 3, 20}));
    const std::string dir = ledger_.RunDir(record->id);
    for (const char* name : {"model.safetensors", "adapter_model.safetensors", "checkpoint-20"}) {
      EXPECT_FALSE(fs::exists(dir + "/" + name)) << name;
    }
    EXPECT_TRUE(fs::exists(dir + "/transcripts/step-000020.txt"));
    EXPECT_FALSE(fs::exists(dir + "/transcripts/step-000019.txt"));
    // The plan counts every completion with its maximum length.
    EXPECT_GE(FlopsOf(spec, executor_.ModelAt(spec.model)).sampling, record->sampling_flops);
  }
}

TEST_F(RewardRun, StoppedOrKilledItGoesOnBitForBit) {
  for (const bool full : {false, true}) {
    const RunSpec spec = Spec(full, full ? 1e-2 : 5e-2);
    const std::string id = RunId(spec);
    int asked = 0;
    Runner stopped(ledger_, executor_, {.quiet = true, .stop = [&asked] { return ++asked > 4; }});
    EXPECT_FALSE(stopped.RunAll({spec}));
    EXPECT_FALSE(ledger_.Has(id));
    // The state that a kill after the checkpoint leaves.
    WriteFileAtomically(ledger_.RunDir(id) + "/metrics.jsonl",
                        ReadFile(ledger_.RunDir(id) + "/metrics.jsonl") +
                            "{\"step\":4,\"reward\":9}\n{\"step\":5,\"rew");
    Runner again(ledger_, executor_, {.quiet = true});
    ASSERT_TRUE(again.RunAll({spec}));
    const std::string resumed = Timeless(id);
    const auto record = ledger_.Read(id);
    fs::remove_all(ledger_.RunDir(id));
    ASSERT_TRUE(again.RunAll({spec}));
    EXPECT_EQ(resumed, Timeless(id));
    const auto whole = ledger_.Read(id);
    EXPECT_EQ(record->tokens, whole->tokens);  // tokens of both processes
    EXPECT_EQ(record->sampling_flops, whole->sampling_flops);
  }
}

TEST_F(RewardRun, ADivergedRunIsAResult) {
  Runner runner(ledger_, executor_, {.quiet = true});
  const RunSpec spec = Spec(true, 1e30, 10);
  ASSERT_TRUE(runner.RunAll({spec}));
  const auto record = ledger_.Read(RunId(spec));
  ASSERT_TRUE(record.has_value());
  EXPECT_TRUE(record->diverged);
  EXPECT_FALSE(record->why.empty());
  EXPECT_LT(record->steps, 10);
  EXPECT_EQ(record->steps, std::ssize(record->reward_steps));
  EXPECT_EQ(record->RewardAt(10), 0);
}

TEST_F(RewardRun, WhereNoRewardEverComesTheGridStaysAsItIs) {
  SweptCondition condition{Spec(false, 0), 1e-4};
  const SweepSettings settings = {.points = 3, .per_decade = 3, .seeds = {1}};
  const auto finish = [&](double reward) {
    for (const RunSpec& spec : FirstRuns({.swept = {condition}}, settings)) {
      RunRecord record;
      record.spec = spec;
      record.id = RunId(spec);
      record.steps = spec.steps();
      ledger_.Begin(spec);
      std::string lines;
      for (int64_t step = 1; step <= spec.steps(); ++step) {
        lines += MetricsLine(step, {{"reward", reward}});
      }
      WriteFileAtomically(ledger_.RunDir(record.id) + "/metrics.jsonl", lines);
      ledger_.Finish(record);
    }
  };
  finish(0);
  EXPECT_TRUE(ExtensionRuns(condition, {}, ledger_, settings).empty());
  finish(0.5);  // all equal: the lowest counts as best, and lower ones are tried
  EXPECT_EQ(ExtensionRuns(condition, {}, ledger_, settings).size(), 2);
}

TEST_F(RewardRun, TheFingerprintKnowsWhatIsAskedAndHow) {
  const StudyModel model = Load(model_.path());
  std::vector<Problem> others = model.heldout_problems;
  others.back().answer = "x";
  EXPECT_EQ(FingerprintOf(*model.problems, model.heldout_problems), model.data_fingerprint);
  EXPECT_NE(FingerprintOf(*model.problems, others), model.data_fingerprint);
  StudyProblems stopping{model.problems->source,
                         MakeTinyBundle({.chat_template = kChatMl}),
                         ChatTemplate(kChatMl, "tiny bundle", "<s>", "<|im_end|>"),
                         {}};
  EXPECT_EQ(FingerprintOf(stopping, model.heldout_problems), model.data_fingerprint);
  stopping.stop_strings = {"\n"};
  EXPECT_NE(FingerprintOf(stopping, model.heldout_problems), model.data_fingerprint);
}

TEST_F(RewardRun, AStudyIsPlannedPricedMadeAndReported) {
  StudySettings settings = DefaultSettings();
  settings.ranks = {"1"};
  settings.seeds = 1;
  settings.steps = 4;
  settings.lr_points = 3;
  settings.lr_per_decade = 1;
  settings.eval_points = 2;
  settings.rewards.steps.batch_size = 2;
  settings.rewards.rl.group_size = 2;
  settings.rewards.rl.max_tokens = 4;
  const Experiment& rl = FindExperiment("rl");
  const StudyPlan plan = rl.plan({settings, {&executor_.ModelAt(model_.path())}});
  ASSERT_EQ(plan.swept.size(), 2);
  // The default rate for rewards has the same multiplier at every rank.
  EXPECT_LT(plan.swept[0].centre, plan.swept[1].centre);
  SweepSettings sweep = SweepOf(settings);
  sweep.max_points = 5;  // four steps learn little, so the best rate may be anywhere
  const PlannedCost cost = CostOf(plan, sweep, ledger_, executor_);
  EXPECT_EQ(cost.runs, 6);
  EXPECT_GT(cost.flops_per_second, 0);
  EXPECT_THAT(CostText(cost, 1), HasSubstr("if every completion had max_tokens"));
  Runner runner(ledger_, executor_, {.quiet = true});
  ASSERT_TRUE(runner.RunPlan(plan, sweep));
  ledger_.WriteIndex();
  EXPECT_THAT(ReadFile(folder_.path() + "/runs.jsonl"), HasSubstr("final_reward"));
  KeepPlan(rl, settings, FinishedRuns(plan, ledger_, sweep), ledger_);
  ReportFromRuns(rl, settings, ledger_);
  const std::string page = ReadFile(folder_.path() + "/report.html");
  EXPECT_THAT(page, HasSubstr("does rank 1 learn as much as full"));
  EXPECT_THAT(ReadFile(folder_.path() + "/rl/rl_reward.csv"), HasSubstr("LoRA rank 1"));
  EXPECT_FALSE(ClaimsOf({folder_.path()}).empty());
}

}  // namespace
}  // namespace lorikeet
