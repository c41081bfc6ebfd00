#include "train/learning_rate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace lorikeet {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

LearningRateQuery Query(const std::string& type, int64_t hidden, int rank, int64_t steps) {
  return {.model_type = type, .hidden_size = hidden, .rank = rank, .planned_steps = steps};
}

// The public values of the article's authors (10x, any rank) lie 10 / 9.8 above those at rank 512.
TEST(LearningRate, LongRunsAtHighRankFollowThePublishedValues) {
  EXPECT_NEAR(DefaultLearningRate(Query("llama", 2048, 512, 5000)).value * 10 / 9.8, 4.91e-4, 2e-6);
  EXPECT_NEAR(DefaultLearningRate(Query("llama", 4096, 512, 5000)).value * 10 / 9.8, 2.86e-4, 2e-6);
  EXPECT_NEAR(DefaultLearningRate(Query("llama", 8192, 512, 5000)).value * 10 / 9.8, 1.66e-4, 1e-6);
  EXPECT_NEAR(DefaultLearningRate(Query("qwen3", 1024, 512, 5000)).value * 10 / 9.8, 5.27e-4, 2e-6);
  EXPECT_NEAR(DefaultLearningRate(Query("qwen3_moe", 2048, 512, 5000)).value * 10 / 9.8, 4.99e-4,
              2e-6);
}

TEST(LearningRate, FullFineTuningHasNoMultiplier) {
  LearningRateQuery query = Query("llama", 4096, 32, 100);
  query.lora = false;
  EXPECT_NEAR(DefaultLearningRate(query).value, 2.86e-5, 2e-7);
  EXPECT_THAT(DefaultLearningRate(query).reason, Not(HasSubstr("LoRA of rank")));
}

// Rank-stabilised LoRA's scale is the root of the rank times the rule's.
TEST(LearningRate, RslorasIsLessByTheRootOfTheRank) {
  LearningRateQuery query = Query("llama", 4096, 16, 100);
  const double rate = DefaultLearningRate(query).value;
  query.rslora = true;
  EXPECT_NEAR(DefaultLearningRate(query).value, rate / 4, 1e-2 * rate);
  EXPECT_THAT(DefaultLearningRate(query).reason, HasSubstr("/ 16^0.5 (rsLoRA's scale)"));
  query.lora = false;
  EXPECT_THAT(DefaultLearningRate(query).reason, Not(HasSubstr("rsLoRA")));
}

TEST(LearningRate, ShortRunsWantMoreAtEveryRank) {
  for (const int rank : {1, 16, 512}) {
    EXPECT_DOUBLE_EQ(LoraMultiplier(rank, 10), 15);
    EXPECT_DOUBLE_EQ(LoraMultiplier(rank, 100), 15);
    double last = 15;
    for (int64_t steps = 150; steps <= 1000; steps += 50) {
      EXPECT_LT(LoraMultiplier(rank, steps), last) << steps;
      last = LoraMultiplier(rank, steps);
    }
    EXPECT_DOUBLE_EQ(LoraMultiplier(rank, 1000), LoraMultiplier(rank, 1'000'000));
    EXPECT_DOUBLE_EQ(LoraMultiplier(rank, 0), LoraMultiplier(rank, 1'000'000)) << "unknown length";
  }
}

TEST(LearningRate, SmallRanksWantLessInLongRuns) {
  EXPECT_DOUBLE_EQ(LoraMultiplier(1, 5000), 2.7);
  EXPECT_DOUBLE_EQ(LoraMultiplier(32, 5000), 7.3);
  EXPECT_DOUBLE_EQ(LoraMultiplier(512, 5000), 9.8);
  EXPECT_DOUBLE_EQ(LoraMultiplier(4096, 5000), 9.8);
  double last = 0;
  for (int rank = 1; rank <= 512; ++rank) {
    EXPECT_GT(LoraMultiplier(rank, 5000), last) << rank;
    last = LoraMultiplier(rank, 5000);
  }
  // An independent 200-step sweep (Qwen3-4B): rank 16 wanted 0.88 of what rank 256 wanted.
  EXPECT_NEAR(LoraMultiplier(16, 200) / LoraMultiplier(256, 200), 0.88, 0.01);
}

TEST(LearningRate, GoesAsTheSquareRootOfTheBatch) {
  LearningRateQuery query = Query("llama", 576, 32, 60);
  const double at_rule = DefaultLearningRate(query).value;
  query.batch_size = 128;
  EXPECT_DOUBLE_EQ(DefaultLearningRate(query).value, at_rule);
  query.batch_size = 1024;  // nothing is known there
  EXPECT_DOUBLE_EQ(DefaultLearningRate(query).value, at_rule);
  query.batch_size = 8;
  EXPECT_NEAR(DefaultLearningRate(query).value, at_rule / 4, 0.005 * at_rule);
  EXPECT_THAT(DefaultLearningRate(query).reason, HasSubstr("* (8 / 128)^0.5 (examples a step)"));
  query.rl = true;
  const double rl = DefaultLearningRate(query).value;
  query.batch_size = 0;
  EXPECT_DOUBLE_EQ(DefaultLearningRate(query).value, rl);
}

// Best rates of sweeps that the rule was not fitted to: an independent one (Qwen3-4B, 200 steps of
// 32: full 2.5e-5, rank 256 2.5e-4, rank 16 2.2e-4), and this repository's (docs/study: SmolLM2, 48
// steps of 8; width 128, 300 steps of 16).
TEST(LearningRate, IsWithinAFactorOfTwoOfSweeps) {
  struct Sweep {
    const char* type;
    int64_t hidden, steps, batch;
    int rank;  // 0: full
    double best;
  };
  for (const Sweep& sweep : {Sweep{"qwen3", 2560, 200, 32, 0, 2.5e-5},
                             {"qwen3", 2560, 200, 32, 256, 2.5e-4},
                             {"qwen3", 2560, 200, 32, 16, 2.2e-4},
                             {"llama", 576, 48, 8, 0, 5.5e-5},
                             {"llama", 576, 48, 8, 1, 4.5e-4},
                             {"llama", 576, 48, 8, 16, 6.0e-4},
                             {"llama", 576, 48, 8, 128, 6.0e-4},
                             {"llama", 128, 300, 16, 1, 9.2e-4},
                             {"llama", 128, 300, 16, 16, 1.4e-3},
                             {"llama", 128, 300, 16, 128, 1.55e-3}}) {
    LearningRateQuery query = Query(sweep.type, sweep.hidden, std::max(sweep.rank, 1), sweep.steps);
    query.lora = sweep.rank > 0;
    query.batch_size = sweep.batch;
    const double off = DefaultLearningRate(query).value / sweep.best;
    EXPECT_GT(off, 0.5) << sweep.hidden << " rank " << sweep.rank;
    EXPECT_LT(off, 2) << sweep.hidden << " rank " << sweep.rank;
  }
}

TEST(LearningRate, ADecayingScheduleHasTwiceThePeak) {
  LearningRateQuery query = Query("llama", 2048, 32, 500);
  const double constant = DefaultLearningRate(query).value;
  for (const ScheduleKind kind : {ScheduleKind::kLinear, ScheduleKind::kCosine}) {
    query.schedule = kind;
    EXPECT_NEAR(DefaultLearningRate(query).value, 2 * constant, 0.01 * constant);
    EXPECT_THAT(DefaultLearningRate(query).reason, HasSubstr("* 2 (a schedule that decays)"));
  }
}

TEST(LearningRate, ReinforcementLearningLiesWithinTheMeasuredOptima) {
  LearningRateQuery query = Query("llama", 4096, 1, 200);
  query.rl = true;
  EXPECT_GT(DefaultLearningRate(query).value, 2.2e-5);
  EXPECT_LT(DefaultLearningRate(query).value, 7.5e-5);
  query = Query("qwen3", 4096, 128, 200);
  query.rl = true;
  EXPECT_GT(DefaultLearningRate(query).value, 5.3e-5);
  EXPECT_LT(DefaultLearningRate(query).value, 6.1e-5);
}

TEST(LearningRate, AnUnknownFamilyGetsTheMoreCarefulFit) {
  for (const int64_t hidden : {64, 1999, 2000, 2001, 8192}) {
    const double other = DefaultLearningRate(Query("mistral", hidden, 32, 500)).value;
    EXPECT_LE(other, DefaultLearningRate(Query("llama", hidden, 32, 500)).value) << hidden;
    EXPECT_LE(other, DefaultLearningRate(Query("qwen2", hidden, 32, 500)).value) << hidden;
  }
  EXPECT_THAT(DefaultLearningRate(Query("mistral", 4096, 32, 500)).reason,
              HasSubstr("no fit exists for mistral"));
}

TEST(LearningRate, TheReasonShowsItsNumbers) {
  const LearningRateAdvice advice = DefaultLearningRate(Query("llama", 576, 32, 60));
  EXPECT_EQ(advice.reason,
            "1.98e-03 = 5e-05 * 15.0 (LoRA of rank 32 in 60 steps) * (2000 / 576)^0.781 (hidden "
            "size; fitted for "
            "Llama), the rule of \"LoRA Without Regret\"");
  EXPECT_DOUBLE_EQ(advice.value, 1.98e-3);
}

}  // namespace
}  // namespace lorikeet
