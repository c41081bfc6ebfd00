#include "study/runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "core/file.h"
#include "model/random_model_for_test.h"
#include "study/experiment.h"
#include "study/study_for_test.h"

namespace lorikeet {
namespace {

// Finishes the given runs with synthetic losses, as a runner would.
int FinishAll(const std::vector<RunSpec>& specs, const Ledger& ledger, const MadeUpLoss& loss) {
  for (const RunSpec& spec : specs) WriteRecord(ledger, MakeRecord(spec, loss));
  return static_cast<int>(specs.size());
}

TEST(Runner, AGridIsExtendedUntilTheOptimumIsInside) {
  const TemporaryFolder folder("study");
  const Ledger ledger(folder.path());
  StudyPlan plan;
  plan.swept.push_back({MakeSpec(false, 4, 0, 0), 4e-4});
  const SweepSettings settings = {.points = 5, .per_decade = 3, .seeds = {1}};
  const MadeUpLoss valley_at_1e_2 = [](const RunSpec& spec, int64_t step) {
    const double off = std::log10(spec.learning_rate()) + 2;
    return 3 - 0.01 * static_cast<double>(step) * (1 - 0.1 * off * off);
  };
  EXPECT_EQ(FinishAll(FirstRuns(plan, settings), ledger, valley_at_1e_2), 5);
  int rounds = 0;
  while (true) {
    const auto more = ExtensionRuns(plan.swept[0], {}, ledger, settings);
    if (more.empty()) break;
    EXPECT_EQ(FinishAll(more, ledger, valley_at_1e_2), 2);
    ASSERT_LT(++rounds, 10);
  }
  EXPECT_EQ(rounds, 2);  // from 1e-3 up to 2.15e-2
  std::vector<RunRecord> records = ledger.ReadAll();
  const std::vector<Sweep> sweeps = GroupRuns(records);
  EXPECT_TRUE(OptimumAt(sweeps[0], 100).bracketed);
  EXPECT_NEAR(OptimumAt(sweeps[0], 100).rate.value, 1e-2, 1e-4);
  EXPECT_EQ(FinishedRuns(plan, ledger, settings).size(), 9);
  // A wider grid reuses the finished runs.
  SweepSettings wider = settings;
  wider.points = 7;
  int missing = 0;
  for (const RunSpec& spec : FirstRuns(plan, wider)) missing += ledger.Has(RunId(spec)) ? 0 : 1;
  EXPECT_EQ(missing, 1);
}

TEST(Runner, AGridWithoutAnOptimumEnds) {
  const TemporaryFolder folder("study");
  const Ledger ledger(folder.path());
  StudyPlan plan;
  plan.swept.push_back({MakeSpec(false, 4, 0, 0), 1e-4});
  const SweepSettings settings = {.points = 3, .per_decade = 2, .max_points = 9, .seeds = {1}};
  const MadeUpLoss ever_lower = [](const RunSpec& spec, int64_t) {
    return 3 - std::log10(spec.learning_rate());
  };
  FinishAll(FirstRuns(plan, settings), ledger, ever_lower);
  int rounds = 0;
  for (auto more = ExtensionRuns(plan.swept[0], {}, ledger, settings); !more.empty();
       more = ExtensionRuns(plan.swept[0], {}, ledger, settings)) {
    FinishAll(more, ledger, ever_lower);
    ASSERT_LT(++rounds, 10);
  }
  EXPECT_EQ(rounds, 3);
}

// A study that is stopped after any of its runs, the half of an extension included, asks for the
// runs of one that never was, also where the ledger has runs of another experiment.
TEST(Runner, AStoppedExtensionGoesOnAsIfItNeverWas) {
  StudyPlan plan;
  plan.swept.push_back({MakeSpec(false, 4, 0, 0), 4e-4});
  plan.bracket_steps = {50};
  const SweepSettings settings = {.points = 3, .per_decade = 3, .max_points = 13, .seeds = {1, 2}};
  // The best rate is at one edge for one seed and at the other edge for the other.
  const MadeUpLoss bumpy = [](const RunSpec& spec, int64_t) {
    const double k = std::round(3 * std::log10(spec.learning_rate()));
    return spec.seed() == 1 ? 3 - std::abs(std::sin(1.3 * k)) : 3 - std::abs(std::cos(0.7 * k));
  };
  const auto pending = [&](const Ledger& ledger) {
    std::vector<RunSpec> specs;
    for (RunSpec& spec : FirstRuns(plan, settings)) {
      if (!ledger.Has(RunId(spec))) specs.push_back(std::move(spec));
    }
    return specs.empty() ? ExtensionRuns(plan.swept[0], plan.bracket_steps, ledger, settings)
                         : specs;
  };
  // Executes at most `most` runs, round by round.
  const auto run = [&](const Ledger& ledger, int most) {
    int made = 0;
    for (auto round = pending(ledger); !round.empty(); round = pending(ledger)) {
      for (const RunSpec& spec : round) {
        if (made++ == most) return made - 1;
        WriteRecord(ledger, MakeRecord(spec, bumpy));
      }
    }
    return made;
  };
  const TemporaryFolder whole_folder("study_whole");
  const Ledger whole(whole_folder.path());
  const int all = run(whole, 1000);
  const std::vector<std::string> expected = FinishedRuns(plan, whole, settings);
  ASSERT_GT(all, 2 * 3 + 4);
  EXPECT_EQ(std::ssize(expected), all);
  for (int stop = 2; stop < all; stop += 7) {
    const TemporaryFolder folder("study_stopped");
    const Ledger ledger(folder.path());
    EXPECT_EQ(run(ledger, stop), stop);
    EXPECT_EQ(run(ledger, 1000), all - stop) << stop;
    EXPECT_EQ(FinishedRuns(plan, ledger, settings), expected) << stop;
  }
  // Rates that a wider grid of another experiment tried far away.
  const TemporaryFolder folder("study_shared");
  const Ledger shared(folder.path());
  SweepSettings wide = settings;
  wide.points = 21;
  for (const RunSpec& spec : FirstRuns(plan, wide)) {
    if (spec.learning_rate() > 1e-1) WriteRecord(shared, MakeRecord(spec, bumpy));
  }
  run(shared, 1000);
  EXPECT_EQ(FinishedRuns(plan, shared, settings), expected);
}

class RunnerTraining : public ::testing::Test {
 protected:
  RunnerTraining() : model_({"llama", 32, 4, 2, 8, 48, 2, 64, true, false}, "study_runner") {}

  StudyModel Load(const std::string& path) const {
    StudyModel model;
    model.path = path;
    model.base = Model::Load(path, DType::kF32);
    model.reload = [path] { return Model::Load(path, DType::kF32); };
    for (int64_t i = 0; i < 24; ++i) {
      Example example;
      for (int64_t t = 0; t < 9; ++t) {
        const auto next = static_cast<int32_t>((5 * i + 7 * t) % 64);
        if (t > 0) example.target_tokens.push_back(next);
        if (t < 8) example.tokens.push_back(next);
      }
      example.weights.assign(8, 1.0F);
      (i < 20 ? model.train : model.heldout).push_back(std::move(example));
    }
    model.model_fingerprint = model.data_fingerprint = "test";
    return model;
  }

  RunSpec Spec(bool full, double rate, int64_t steps = 6) const {
    RunSpec spec = MakeSpec(full, 2, rate, 1, steps);
    spec.model = model_.path();
    spec.run.steps.batch_size = 4;
    spec.run.steps.micro_batch_tokens = 64;
    return spec;
  }

  TemporaryFolder folder_{"study"};
  RandomModel model_;
  Ledger ledger_{folder_.path()};
  Executor executor_{ledger_, [this](const std::string& path) { return Load(path); }};
};

TEST_F(RunnerTraining, AnotherScheduleIsSweptAboutARateOfItsOwn) {
  StudySettings settings = DefaultSettings();
  settings.ranks = {"1", "4"};
  settings.schedules = {"constant", "linear"};
  const StudyModel model = Load(model_.path());
  const std::vector<SweptCondition> swept = kLrExperiment.plan({settings, {&model}}).swept;
  ASSERT_EQ(swept.size(), 3 + 2);  // the other schedule for full and for the highest rank
  for (const auto& [other, first] : {std::pair(&swept[3], &swept[0]), {&swept[4], &swept[2]}}) {
    EXPECT_EQ(other->spec.run.optimizer.lr_scheduler_type, "linear");
    EXPECT_EQ(other->spec.MethodName(), first->spec.MethodName());
    EXPECT_NEAR(other->centre / first->centre, 2, 0.02);  // rates have three digits
  }
  settings.learning_rate = settings.full_learning_rate = 1e-3;
  for (const SweptCondition& each : kLrExperiment.plan({settings, {&model}}).swept) {
    EXPECT_EQ(each.centre, 1e-3);
  }
}

TEST_F(RunnerTraining, RunsAreMadeOnceAndFullRunsBeginAnew) {
  Runner runner(ledger_, executor_, {.quiet = true});
  const std::vector<RunSpec> specs = {Spec(true, 1e-2), Spec(false, 1e-2), Spec(true, 1e-3)};
  ASSERT_TRUE(runner.RunAll(specs));
  const auto first = ledger_.Read(RunId(specs[0])), third = ledger_.Read(RunId(specs[2]));
  ASSERT_TRUE(first && third);
  EXPECT_EQ(first->evals.front().loss, third->evals.front().loss);  // the same untrained model
  EXPECT_NE(first->FinalLoss(), third->FinalLoss());
  EXPECT_LT(first->FinalLoss(), first->evals.front().loss);
  EXPECT_EQ(first->losses.size(), 6);
  EXPECT_FALSE(std::filesystem::exists(ledger_.RunDir(first->id) + "/model.safetensors"));
  // Again: no run is executed, so nothing is written.
  const auto before = std::filesystem::last_write_time(ledger_.RunDir(first->id) + "/result.json");
  ASSERT_TRUE(runner.RunAll(specs));
  EXPECT_EQ(std::filesystem::last_write_time(ledger_.RunDir(first->id) + "/result.json"), before);
}

TEST_F(RunnerTraining, AStoppedStudyGoesOnBitForBit) {
  const RunSpec spec = Spec(false, 1e-2);
  int asked = 0;
  Runner stopped(ledger_, executor_, {.quiet = true, .stop = [&asked] { return ++asked > 12; }});
  EXPECT_FALSE(stopped.RunAll({spec}));
  const std::string id = RunId(spec);
  EXPECT_FALSE(ledger_.Has(id));
  Runner again(ledger_, executor_, {.quiet = true});
  ASSERT_TRUE(again.RunAll({spec}));
  const auto resumed = ledger_.Read(id);
  std::filesystem::remove_all(ledger_.RunDir(id));
  ASSERT_TRUE(again.RunAll({spec}));
  const auto whole = ledger_.Read(id);
  EXPECT_EQ(resumed->losses, whole->losses);
  EXPECT_EQ(resumed->FinalLoss(), whole->FinalLoss());
}

// Its process was killed after it wrote the result.
TEST_F(RunnerTraining, ACheckpointOfAFinishedRunIsRemoved) {
  Runner runner(ledger_, executor_, {.quiet = true});
  const RunSpec spec = Spec(false, 1e-2);
  ASSERT_TRUE(runner.RunAll({spec}));
  const std::string dir = ledger_.RunDir(RunId(spec));
  std::filesystem::create_directories(dir + "/checkpoint-4.tmp");
  for (const char* name : {"run_state.json", "trainer_state.json", "training_state.safetensors",
                           "adapter_config.json", "adapter_model.safetensors"}) {
    std::filesystem::create_directories(dir + "/checkpoint-6");
    WriteFileAtomically(dir + "/checkpoint-6/" + name, "{}");
  }
  ASSERT_TRUE(runner.RunAll({spec}));
  EXPECT_FALSE(std::filesystem::exists(dir + "/checkpoint-6"));
  EXPECT_FALSE(std::filesystem::exists(dir + "/checkpoint-4.tmp"));
  EXPECT_TRUE(ledger_.Has(RunId(spec)));
}

TEST_F(RunnerTraining, ADivergedRunIsAResult) {
  Runner runner(ledger_, executor_, {.quiet = true});
  const RunSpec spec = Spec(true, 1e6, 40);
  ASSERT_TRUE(runner.RunAll({spec}));
  const auto record = ledger_.Read(RunId(spec));
  ASSERT_TRUE(record.has_value());
  EXPECT_TRUE(record->diverged);
  EXPECT_FALSE(record->why.empty());
  EXPECT_GE(record->FinalLoss(), record->evals.front().loss);
}

TEST_F(RunnerTraining, RandomLabelsAreLearnedByHeartAlone) {
  const std::vector<Example> labels = RandomLabels(40, 64, 1);
  EXPECT_EQ(labels.size(), 10);
  std::set<std::pair<int32_t, int32_t>> keys;
  for (const Example& example : labels) {
    keys.insert({example.tokens[0], example.tokens[1]});
    EXPECT_EQ(example.weights, (std::vector<float>{0, 1, 1, 1, 1}));
  }
  EXPECT_EQ(keys.size(), 10);
  EXPECT_NE(RandomLabels(40, 64, 2)[0].target_tokens, labels[0].target_tokens);
}

}  // namespace
}  // namespace lorikeet
