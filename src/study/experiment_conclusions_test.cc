// Tests of the other experiments' conclusions, on synthetic runs with known ground truth.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "study/experiment.h"
#include "study/study.h"
#include "study/study_for_test.h"

namespace lorikeet {
namespace {

using ::testing::HasSubstr;

RunSpec On(const char* targets, int rank) {
  RunSpec spec = MakeSpec(false, rank, 0, 0);
  spec.run.adapter.target_modules = {targets};
  return spec;
}

std::vector<RunRecord> LayerRuns(double attention_lift) {
  StudySettings settings = DefaultSettings();
  const int top = settings.Ranks().back();
  RunSpec head = On("all-linear", top);
  head.run.adapter.target_modules.emplace_back("lm_head");
  return Swept(
      {MakeSpec(true, 32, 0, 0), On("mlp", top), On("attention", top), On("attention", 90),
       On("all-linear", top), head},
      [=](const RunSpec& spec, int64_t step) {
        const bool attention =
            !spec.full() && spec.run.adapter.target_modules.front() == "attention";
        const bool with_head = !spec.full() && spec.run.adapter.target_modules.size() == 2;
        return Valley(spec, step, kBest, attention ? attention_lift : with_head ? -0.3 : 0);
      });
}

TEST(ExperimentLayers, SaysWhichModulesAreWorse) {
  const StudySettings settings = DefaultSettings();
  const Report worse = kLayersExperiment.analyse(settings, LayerRuns(0.1));
  EXPECT_THAT(ConclusionsText(worse), HasSubstr("above LoRA rank 64 on mlp: worse"));
  EXPECT_EQ(worse.findings[0].agrees, Agreement::kYes);
  EXPECT_NEAR(worse.findings.back().here.value, 0.3, 1e-9);
  EXPECT_THAT(ConclusionsText(worse), HasSubstr("With it -0.3 (-0.3 to -0.3) nats are left"));
  const Report better = kLayersExperiment.analyse(settings, LayerRuns(-0.1));
  EXPECT_THAT(ConclusionsText(better), HasSubstr("above LoRA rank 64 on mlp: better"));
  EXPECT_EQ(better.findings[0].agrees, Agreement::kNo);
}

std::vector<RunRecord> BatchRuns(double penalty_per_doubling) {
  std::vector<RunSpec> conditions;
  for (const int64_t batch : {8, 32, 128}) {
    for (const int rank : {0, 16, 64}) {
      conditions.push_back(MakeSpec(rank == 0, std::max(rank, 1), 0, 0, 4096 / batch));
      conditions.back().run.steps.batch_size = batch;
    }
  }
  return Swept(conditions, [=](const RunSpec& spec, int64_t step) {
    const double doublings = std::log2(static_cast<double>(spec.run.steps.batch_size) / 8);
    const double noise = 0.001 * static_cast<double>(spec.seed()) * doublings;
    return Valley(spec, step, kBest, spec.full() ? 0 : penalty_per_doubling * doublings + noise);
  });
}

TEST(ExperimentBatch, FindsThePenaltyOfLoraAndItsAbsence) {
  const StudySettings settings = DefaultSettings();
  const Report paid = kBatchExperiment.analyse(settings, BatchRuns(0.02));
  EXPECT_THAT(ConclusionsText(paid), HasSubstr("pays more for larger batches"));
  EXPECT_THAT(ConclusionsText(paid), HasSubstr("does not depend on rank"));
  EXPECT_NEAR(paid.findings[0].here.value, 0.022, 1e-6);
  const Report none = kBatchExperiment.analyse(settings, BatchRuns(-0.002));
  EXPECT_THAT(ConclusionsText(none), HasSubstr("no growth is shown"));
  EXPECT_NE(none.findings[0].agrees, Agreement::kYes);
}

// Losses that satisfy the article's invariance; `broken` changes every second run.
TEST(ExperimentInvariance, ComparesEveryVariantWithItsBase) {
  StudySettings settings = DefaultSettings();
  settings.seeds = 2;
  RunSpec base = MakeSpec(false, 16, 1e-3, 1, 60);
  std::vector<RunRecord> records;
  for (const double p : {1.0, 8.0}) {
    for (uint64_t seed = 1; seed <= 2; ++seed) {
      RunSpec spec = base;
      spec.run.optimizer.adam_epsilon = 1e-4;
      spec.run.optimizer.weight_decay = 0.1;
      spec.run.optimizer.max_grad_norm = 0;
      spec.run.steps.seed = seed;
      if (p != 1) {
        const double q = 0.5;
        spec.run.adapter.lora_alpha = settings.adapter.lora_alpha / (p * q);
        spec.run.adapter.lora_init_a_scale = p;
        spec.run.adapter.a = {p, 1 / p, 1 / p};
        spec.run.adapter.b = {q, 1 / q, 1 / q};
      }
      records.push_back(MakeRecord(spec, [](const RunSpec&, int64_t) { return 2.0; }));
    }
  }
  EXPECT_THAT(ConclusionsText(kInvarianceExperiment.analyse(settings, records)),
              HasSubstr("the same to the last bit"));
  records.back().losses[3] += 1e-6;  // powers of two round nothing: any difference counts
  const Report broken = kInvarianceExperiment.analyse(settings, records);
  EXPECT_THAT(ConclusionsText(broken), HasSubstr("not the same run, against"));
  EXPECT_EQ(broken.findings[0].agrees, Agreement::kNo);
}

TEST(ExperimentCost, RatiosAreThoseOfTheRuns) {
  std::vector<RunRecord> records;
  for (const int rank : {0, 4}) {
    for (uint64_t seed = 1; seed <= 3; ++seed) {
      RunRecord record = MakeRecord(MakeSpec(rank == 0, std::max(rank, 1), 1e-3, seed, 10),
                                    [](const RunSpec&, int64_t) { return 2.0; });
      record.flops_per_token = rank == 0 ? 300 : 210;
      const double seconds = (rank == 0 ? 0.03 : 0.024) * (1 + 0.001 * static_cast<double>(seed));
      record.step_seconds.assign(10, seconds);
      record.step_seconds.front() = 9;  // includes the preparation of kernels
      record.peak_bytes = rank == 0 ? 400 << 20 : 100 << 20;
      records.push_back(std::move(record));
    }
  }
  const Report report = kCostExperiment.analyse(DefaultSettings(), records);
  EXPECT_NEAR(report.findings[0].here.value, 0.7, 1e-9);
  EXPECT_EQ(report.findings[0].agrees, Agreement::kYes);
  EXPECT_NEAR(report.findings[1].here.value, 0.8, 1e-3);
  EXPECT_THAT(ConclusionsText(report), HasSubstr("0.25 times that of full"));
}

TEST(ExperimentCapacity, BitsPerParameterComeFromTheLoss) {
  constexpr double kBits = 2, kLabels = 4000;  // ground truth: bits per parameter, number of labels
  std::vector<RunSpec> conditions = {MakeSpec(false, 1, 0, 0), MakeSpec(false, 4, 0, 0),
                                     MakeSpec(true, 1, 0, 0)};
  for (RunSpec& spec : conditions) spec.random_labels = kLabels;
  const auto records = Swept(conditions, [](const RunSpec& spec, int64_t step) {
    const double all = 8;  // bits of a label: 256 choices
    const double known =   // full fine-tuning comes to know all that there is
        step == 0     ? 0
        : spec.full() ? all
                      : kBits * 1000 * spec.run.adapter.lora_r / kLabels;
    const double off = std::log10(spec.learning_rate() / kBest);
    return (all - known * (1 - 0.05 * off * off) + 1e-4 * static_cast<double>(spec.seed())) *
           std::log(2.0);
  });
  const Report report = kCapacityExperiment.analyse(DefaultSettings(), records);
  ASSERT_EQ(report.findings.size(), 3);
  for (int i : {0, 1}) EXPECT_NEAR(report.findings[i].here.value, kBits, 0.01);
  EXPECT_EQ(report.findings[0].agrees, Agreement::kYes);
  // 32,000 bits in a million parameters: a lower bound does not contradict two bits per parameter.
  EXPECT_NEAR(report.findings[2].here.value, 0.032, 0.001);
  EXPECT_EQ(report.findings[2].agrees, Agreement::kUndecided);
  EXPECT_THAT(ConclusionsText(report), HasSubstr("so it could hold more"));
  EXPECT_THAT(ConclusionsText(report), HasSubstr("of an adapter adds 2 "));
}

TEST(ExperimentLaw, PowersAndMultiplierAreRecovered) {
  std::vector<RunRecord> records;
  for (const int64_t width : {64, 128, 256}) {
    std::vector<RunSpec> conditions = {MakeSpec(true, 32, 0, 0), MakeSpec(false, 32, 0, 0)};
    for (RunSpec& spec : conditions) spec.model_fingerprint = std::to_string(width);
    auto of_model = Swept(conditions, [=](const RunSpec& spec, int64_t step) {
      const double base = 1e-4 * std::pow(2000.0 / static_cast<double>(width), 0.5);
      return Valley(spec, step, spec.full() ? base : 8 * base, 0);
    });
    for (RunRecord& record : of_model) {
      record.facts["hidden_size"] = width;
      records.push_back(std::move(record));
    }
  }
  const Report report = kLawExperiment.analyse(DefaultSettings(), records);
  ASSERT_EQ(report.findings.size(), 3);
  EXPECT_NEAR(report.findings[0].here.value, 8, 0.01);
  EXPECT_NEAR(report.findings[1].here.value, 0.5, 0.01);
  EXPECT_NEAR(report.findings[2].here.value, 0, 0.01);
}

Report Advice(const MadeUpLoss& loss) {
  return kAdviseExperiment.analyse(
      DefaultSettings(),
      Swept({MakeSpec(true, 1, 0, 0), MakeSpec(false, 8, 0, 0), MakeSpec(false, 32, 0, 0)}, loss));
}

TEST(ExperimentAdvise, TakesTheLowestRankThatIsNotWorse) {
  const auto advice = [](double lift_of_low_rank) {
    return ConclusionsText(Advice([=](const RunSpec& spec, int64_t step) {
      return Valley(spec, step, kBest,
                    !spec.full() && spec.run.adapter.lora_r == 8 ? lift_of_low_rank : 0);
    }));
  };
  EXPECT_THAT(advice(0), HasSubstr("--lora-r 8 "));
  EXPECT_THAT(advice(0.2), HasSubstr("--lora-r 32 "));
}

TEST(ExperimentAdvise, TellsWhatLoraLosesBesideFull) {
  for (const double lift : {0.0, 0.3}) {
    const Report report = Advice([=](const RunSpec& spec, int64_t step) {
      return Valley(spec, step, kBest, spec.full() ? 0 : lift);
    });
    ASSERT_EQ(report.findings.size(), 2u);
    EXPECT_NEAR(report.findings[0].here.value, lift, 1e-9);
    EXPECT_EQ(report.findings[0].agrees, lift == 0 ? Agreement::kYes : Agreement::kNo);
  }
  const auto without_full =
      Swept({MakeSpec(false, 8, 0, 0)},
            [](const RunSpec& spec, int64_t step) { return Valley(spec, step, kBest, 0); });
  EXPECT_THAT(ConclusionsText(kAdviseExperiment.analyse(DefaultSettings(), without_full)),
              HasSubstr("Full fine-tuning was not tried"));
}

TEST(ExperimentAdvise, StopsWhereExamplesBeginToBeLearnedByHeart) {
  // Held-out loss falls to step 27 and rises from there, whatever is trained.
  const Report report = Advice([](const RunSpec& spec, int64_t step) {
    const double past = std::max<double>(0, static_cast<double>(step) - 27);
    return Valley(spec, step, kBest, 0) + 0.05 * past;
  });
  EXPECT_THAT(ConclusionsText(report), HasSubstr("lowest after 27 of 100 steps"));
  ASSERT_EQ(report.files.size(), 1u);
  EXPECT_EQ(report.files[0].first, "sft.yaml");
  EXPECT_THAT(report.files[0].second, HasSubstr("max_steps: 27\n"));
  EXPECT_THAT(report.files[0].second, HasSubstr("lora_r: 8\n"));
}

}  // namespace
}  // namespace lorikeet
