#include "train/schedule.h"

#include <gtest/gtest.h>

#include "core/error.h"

namespace lorikeet {
namespace {

// Written out by transformers 5.23: get_*_schedule_with_warmup(optimizer, 3, 10), lr 1, steps 0 to
// 11 (the cosine of step 11, past the end, apart: there ours stays 0).
TEST(Schedule, AgreesWithTransformers) {
  const double constant[] = {
      0.0, 0.3333333333333333, 0.6666666666666666, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0};
  const double linear[] = {0.0,
                           0.3333333333333333,
                           0.6666666666666666,
                           1.0,
                           0.8571428571428571,
                           0.7142857142857143,
                           0.5714285714285714,
                           0.42857142857142855,
                           0.2857142857142857,
                           0.14285714285714285,
                           0.0,
                           0.0};
  const double cosine[] = {0.0,
                           0.3333333333333333,
                           0.6666666666666666,
                           1.0,
                           0.9504844339512095,
                           0.8117449009293668,
                           0.6112604669781572,
                           0.38873953302184283,
                           0.18825509907063326,
                           0.04951556604879048,
                           0.0,
                           0.0};
  for (int64_t step = 0; step < 12; ++step) {
    EXPECT_NEAR(
        LearningRateAt(
            {.kind = ScheduleKind::kConstant, .peak = 1, .warmup_steps = 3, .total_steps = 10},
            step),
        constant[step], 1e-15)
        << step;
    EXPECT_NEAR(
        LearningRateAt(
            {.kind = ScheduleKind::kLinear, .peak = 1, .warmup_steps = 3, .total_steps = 10}, step),
        linear[step], 1e-15)
        << step;
    EXPECT_NEAR(
        LearningRateAt(
            {.kind = ScheduleKind::kCosine, .peak = 1, .warmup_steps = 3, .total_steps = 10}, step),
        cosine[step], 1e-15)
        << step;
  }
}

TEST(Schedule, WithoutWarmupStartsAtThePeak) {
  EXPECT_EQ(LearningRateAt({.peak = 2e-4}, 0), 2e-4);
  EXPECT_EQ(LearningRateAt({.peak = 2e-4}, 1'000'000), 2e-4);
  EXPECT_EQ(LearningRateAt({.kind = ScheduleKind::kLinear, .peak = 1, .total_steps = 4}, 0), 1);
  EXPECT_EQ(LearningRateAt({.kind = ScheduleKind::kLinear, .peak = 1, .total_steps = 4}, 3), 0.25);
  EXPECT_EQ(LearningRateAt({.kind = ScheduleKind::kCosine, .peak = 1, .total_steps = 4}, 0), 1);
  EXPECT_NEAR(LearningRateAt({.kind = ScheduleKind::kCosine, .peak = 1, .total_steps = 4}, 2), 0.5,
              1e-15);
}

TEST(Schedule, NothingIsNegativeOrDividedByZero) {
  for (const auto kind : {ScheduleKind::kConstant, ScheduleKind::kLinear, ScheduleKind::kCosine}) {
    for (const int64_t total : {0, 1, 5}) {
      for (const int64_t warmup : {0, 1, 5, 9}) {
        for (int64_t step = 0; step < 20; ++step) {
          const double rate = LearningRateAt(
              {.kind = kind, .peak = 1, .warmup_steps = warmup, .total_steps = total}, step);
          EXPECT_GE(rate, 0);
          EXPECT_LE(rate, 1);
        }
      }
    }
  }
}

TEST(Schedule, WarmupStepsAsTransformersCountsThem) {
  EXPECT_EQ(WarmupSteps(5, 0.5, 100), 5);
  EXPECT_EQ(WarmupSteps(0, 0.03, 100), 3);
  EXPECT_EQ(WarmupSteps(0, 0.031, 100), 4);
  EXPECT_EQ(WarmupSteps(0, 0, 100), 0);
}

TEST(Schedule, Names) {
  for (const std::string& name : ScheduleNames()) EXPECT_NO_THROW(ParseScheduleKind(name));
  EXPECT_EQ(ParseScheduleKind("cosine"), ScheduleKind::kCosine);
  EXPECT_THROW(ParseScheduleKind("cosin"), Error);
}

}  // namespace
}  // namespace lorikeet
