// Tests of the choice of modules and expert ranks in a mixture, on synthetic runs with known ground
// truth and a few real ones.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "model/random_model_for_test.h"
#include "study/experiment.h"
#include "study/study.h"
#include "study/study_for_test.h"

namespace lorikeet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

RunSpec On(std::vector<std::string> targets, int rank, int expert_rank = 0, bool shared = false) {
  RunSpec spec = MakeSpec(false, rank, 0, 0);
  spec.run.adapter.target_modules = std::move(targets);
  spec.run.adapter.lora_expert_rank = expert_rank;
  spec.run.adapter.lora_shared_outer = shared;
  return spec;
}

// Eight experts, two active, rank 64; losses depend on the trained modules only by `lift`.
std::vector<RunRecord> MadeUp(const std::function<double(const RunSpec&)>& lift) {
  std::vector<RunRecord> records = Swept(
      {MakeSpec(true, 32, 0, 0), On({"experts"}, 64), On({"attention"}, 64), On({"experts"}, 18),
       On({"attention"}, 68), On({"all-linear"}, 14), On({"all-linear"}, 64),
       On({"all-linear"}, 64, 8), On({"all-linear"}, 64, 64), On({"all-linear"}, 64, 0, true),
       On({"all-linear", "router"}, 64)},
      [&](const RunSpec& spec, int64_t step) { return Valley(spec, step, kBest, lift(spec)); });
  for (RunRecord& record : records) {
    record.facts.update({{"num_experts", 8},
                         {"num_experts_per_tok", 2},
                         {"attention_parameters", 16384},
                         {"mlp_parameters", 147456}});
    const RunSpec& spec = record.spec;
    if (spec.full()) continue;
    const int64_t expert_rank = spec.run.adapter.ExpertRank() > 0 ? spec.run.adapter.ExpertRank()
                                                                  : spec.run.adapter.lora_r / 2;
    const bool attention = spec.run.adapter.target_modules.front() != "experts";
    const bool experts = spec.run.adapter.target_modules.front() != "attention";
    record.trainable =
        (attention ? 512 * spec.run.adapter.lora_r : 0) + (experts ? 3840 * expert_rank : 0);
  }
  return records;
}

std::string Words(const std::function<double(const RunSpec&)>& lift) {
  return ConclusionsText(kMoeExperiment.analyse(DefaultSettings(), MadeUp(lift)));
}

TEST(ExperimentMoe, SetsOfModulesAreComparedAtEqualRankAndParameters) {
  const auto attention_lags = [](const RunSpec& spec) {
    return !spec.full() && spec.run.adapter.target_modules.front() == "attention" ? 0.1 : 0;
  };
  const std::string words = Words(attention_lags);
  EXPECT_THAT(words, HasSubstr("At equal parameters LoRA rank 68 on attention ends"));
  EXPECT_THAT(words, HasSubstr("above LoRA rank 18 on experts: worse"));
  EXPECT_THAT(words, HasSubstr("At equal rank LoRA rank 64 on attention ends"));
  EXPECT_THAT(words, HasSubstr("At equal parameters LoRA rank 18 on experts ends"));
  EXPECT_THAT(words, HasSubstr("above LoRA rank 14: not to be told from equal"));
  const Report report = kMoeExperiment.analyse(DefaultSettings(), MadeUp(attention_lags));
  EXPECT_EQ(report.findings[0].agrees, Agreement::kYes);
  EXPECT_EQ(report.findings[2].agrees, Agreement::kYes);
  EXPECT_NE(kMoeExperiment
                .analyse(DefaultSettings(),
                         MadeUp([&](const RunSpec& spec) { return -attention_lags(spec); }))
                .findings[0]
                .agrees,
            Agreement::kYes);
}

TEST(ExperimentMoe, EveryRuleOfTheExpertsRankHasItsPrice) {
  const std::string words = Words([](const RunSpec& spec) {
    return spec.run.adapter.ExpertRank() == 8    ? 0.05
           : spec.run.adapter.ExpertRank() == 64 ? -0.05
           : spec.run.adapter.lora_shared_outer  ? 0.02
                                                 : 0;
  });
  EXPECT_THAT(words, HasSubstr("With rank / all experts (0.408 times the parameters)"));
  EXPECT_THAT(words, testing::ContainsRegex("rank / all experts.*end 0.05.*: worse"));
  EXPECT_THAT(words, testing::ContainsRegex("whole rank in every expert.*end -0.05.*: better"));
  EXPECT_THAT(words, testing::ContainsRegex("shared by the experts.*end 0.02.*: worse"));
  EXPECT_THAT(words, testing::ContainsRegex("router adapted too.*not to be told from equal"));
}

TEST(ExperimentMoe, SharesOfTrainedParametersAreThoseOfTheRuns) {
  const Report report =
      kMoeExperiment.analyse(DefaultSettings(), MadeUp([](const RunSpec&) { return 0; }));
  const Finding& share = report.findings.back();
  // (3840 * 32 / 147456) / (512 * 64 / 16384): the experts have 0.417 of attention's share.
  EXPECT_NEAR(share.here.value, 0.4167, 1e-4);
  EXPECT_EQ(share.agrees, Agreement::kNo);
  EXPECT_THAT(ConclusionsText(report), HasSubstr("0.104 with rank / all experts, 0.833 with the"));
  ASSERT_EQ(report.tables.size(), 2);
  EXPECT_THAT(report.tables[1].rows[1],
              ElementsAre("rank / all experts", "8", "63,488", "0.104", testing::_, testing::_));
  EXPECT_EQ(report.tables[1].rows.size(), 5);
}

class MoePlan : public ::testing::Test {
 protected:
  explicit MoePlan(const char* model_type = "qwen3_moe", int64_t experts = 4)
      : model_({model_type, 16, 2, 2, 8, 24, 1, 40, true, false, experts, 2, 12}, "study_moe") {
    settings_.ranks = {"8"};
    settings_.steps = 2;
    settings_.batch_size = 2;
    settings_.seeds = 1;
    settings_.lr_points = 3;
    settings_.eval_points = 2;
  }

  static StudyModel Load(const std::string& path) {
    StudyModel model;
    model.path = path;
    model.base = Model::Load(path, DType::kF32);
    model.reload = [path] { return Model::Load(path, DType::kF32); };
    for (int32_t i = 0; i < 8; ++i) {
      Example example;
      for (int32_t t = 0; t < 6; ++t) {
        example.tokens.push_back((5 * i + 7 * t) % 40);
        example.target_tokens.push_back((5 * i + 7 * t + 7) % 40);
      }
      example.weights.assign(6, 1.0F);
      (i < 6 ? model.train : model.heldout).push_back(std::move(example));
    }
    model.model_fingerprint = model.data_fingerprint = "test";
    return model;
  }

  StudyPlan Plan(const StudyModel& model) const {
    return kMoeExperiment.plan({settings_, {&model}});
  }

  RandomModel model_;
  StudySettings settings_ = DefaultSettings();
};

TEST_F(MoePlan, RanksAreSolvedForEqualParametersAndRulesStandOnce) {
  const StudyModel model = Load(model_.path());
  std::vector<std::string> methods;
  for (const SweptCondition& condition : Plan(model).swept) {
    methods.push_back(condition.spec.MethodName());
  }
  // Per rank: attention 4 x 32 = 128, experts (active 2) 4 x 3 x 28 / 2 = 168.
  EXPECT_THAT(methods, ElementsAre("full", "LoRA rank 8 on experts", "LoRA rank 8 on attention",
                                   "LoRA rank 6 on experts", "LoRA rank 4", "LoRA rank 8",
                                   "LoRA rank 8, 2 in each expert", "LoRA rank 8, 8 in each expert",
                                   "LoRA rank 8, shared outer factors",
                                   "LoRA rank 8 on all-linear, router"));
}

TEST_F(MoePlan, EveryConditionIsTrainedAsItSays) {
  const TemporaryFolder folder("study");
  const Ledger ledger(folder.path());
  Executor executor(ledger, Load);
  const StudyModel& model = executor.ModelAt(model_.path());
  const StudyPlan plan = Plan(model);
  std::vector<RunRecord> records;
  for (const RunSpec& spec : FirstRuns(plan, SweepOf(settings_))) {
    ASSERT_TRUE(executor.Run(spec, 0, {}));
    records.push_back(*ledger.Read(RunId(spec)));
    EXPECT_EQ(records.back().trainable, TrainableOf(spec, model)) << spec.MethodName();
  }
  EXPECT_EQ(records.size(), 3 * plan.swept.size());
  EXPECT_EQ(records.front().facts["attention_parameters"], 4 * 16 * 16);
  EXPECT_EQ(records.front().facts["mlp_parameters"], 4 * 3 * 16 * 12);
  const Report report = kMoeExperiment.analyse(settings_, records);
  EXPECT_EQ(report.tables[0].rows.size(), plan.swept.size());
  EXPECT_EQ(report.tables[1].rows.size(), 5);
  EXPECT_EQ(report.findings.size(), 4 + 4 + 1);
}

class DenseModel : public MoePlan {
 protected:
  DenseModel() : MoePlan("qwen3", 0) {}
};

TEST_F(DenseModel, IsToldHowToBecomeAMixture) {
  const StudyModel model = Load(model_.path());
  try {
    Plan(model);
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), HasSubstr("is no mixture of experts"));
    EXPECT_THAT(e.what(), HasSubstr("--upcycle"));
  }
}

}  // namespace
}  // namespace lorikeet
