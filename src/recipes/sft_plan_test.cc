#include "recipes/sft_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "plan/kernel_bench.h"

namespace lorikeet {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr int64_t kGiB = int64_t{1} << 30;

MicroBatchChoice Choice(const MicroBatchQuery& query) {
  return ChooseMicroBatch(SmolLm2Shapes(), TrainingShape(), DType::kBF16, query);
}

int64_t Choose(int64_t longest, int64_t batch, int64_t wanted, int64_t available) {
  return Choice({.longest = longest,
                 .batch_tokens = batch,
                 .wanted = wanted,
                 .memory = {.available = available}})
      .tokens;
}

size_t Planned(Recompute recompute, int64_t tokens) {
  return TotalBytes(PlanTrainingMemory(
      SmolLm2Shapes(), {.recompute = recompute, .tokens_per_microbatch = tokens}, DType::kBF16));
}

TEST(SftPlan, TheMicroBatchIsAsLargeAsMemoryAndBatchAllow) {
  EXPECT_EQ(Choose(300, 100000, 0, 64 * kGiB), 2048);
  EXPECT_EQ(Choose(300, 700, 0, 64 * kGiB), 700);       // a whole step is no larger
  EXPECT_EQ(Choose(3000, 100000, 0, 64 * kGiB), 3000);  // an example is never cut
  EXPECT_EQ(Choose(300, 100000, 512, 64 * kGiB), 512);
  EXPECT_EQ(Choose(300, 100000, 100, 64 * kGiB), 300);
  const int64_t tight = Choose(100, 100000, 0, kGiB);
  EXPECT_LT(tight, 2048);
  EXPECT_GE(tight, 100);
}

TEST(SftPlan, WhatDoesNotFitIsRefusedWithAdvice) {
  try {
    Choose(2000, 100000, 0, kGiB / 2);
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kOutOfMemory);
    EXPECT_THAT(e.what(), HasSubstr("recompute block (then "));
    EXPECT_THAT(e.what(), HasSubstr("max_length 1000"));
    EXPECT_THAT(e.what(), HasSubstr("512 MiB are available"));
  }
}

TEST(SftPlan, AutoRecomputesOnlyWhatCannotBeKept) {
  MicroBatchQuery query = {.longest = 600, .batch_tokens = 100000, .recompute = {}};
  query.memory.available = 64 * kGiB;
  EXPECT_EQ(Choice(query).recompute.recompute, Recompute::kNone);
  EXPECT_EQ(Choice(query).tokens, 2048);
  // Smaller pieces come before computing twice ...
  query.memory.available = static_cast<int64_t>(Planned(Recompute::kNone, 900));
  EXPECT_EQ(Choice(query).recompute.recompute, Recompute::kNone);
  EXPECT_LT(Choice(query).tokens, 900);
  // ... which makes them large again.
  query.memory.available = static_cast<int64_t>(Planned(Recompute::kNone, 600));
  const MicroBatchChoice block = Choice(query);
  EXPECT_EQ(block.recompute.recompute, Recompute::kBlock);
  EXPECT_GT(block.tokens, 600);
  EXPECT_THAT(block.recompute.reason, HasSubstr("with every activation kept"));
  EXPECT_EQ(TotalBytes(block.recompute.memory), Planned(Recompute::kBlock, block.tokens));
}

TEST(SftPlan, WhatIsAskedOfRecomputeStands) {
  MicroBatchQuery query = {.longest = 100, .batch_tokens = 100000};
  query.memory.available = 64 * kGiB;
  query.recompute = Recompute::kBlock;
  EXPECT_EQ(Choice(query).recompute.recompute, Recompute::kBlock);
  EXPECT_EQ(Choice(query).recompute.reason, "as asked");
  query.memory.available = static_cast<int64_t>(Planned(Recompute::kNone, 100));
  query.recompute = Recompute::kNone;
  EXPECT_THROW(Choice(query), Error);
}

TEST(SftPlan, AnAdapterNearTheSizeOfItsBaseIsNoted) {
  SftPlan plan;
  plan.parameters = 1000;
  plan.stored = DType::kBF16;
  plan.trainable = 150;  // 600 bytes in f32 for 2000 of the base
  EXPECT_THAT(PlanText(plan), Not(HasSubstr("note: the adapter")));
  plan.trainable = 151;
  EXPECT_THAT(PlanText(plan),
              HasSubstr("note: the adapter will be 604 B on disk, 30 % of its base"));
  plan.shape.method = Method::kFull;
  EXPECT_THAT(PlanText(plan), Not(HasSubstr("note: the adapter")));
}

TEST(SftPlan, LongExamplesCountMore) {
  Example one, three;
  one.tokens.resize(1);
  three.tokens.resize(3);
  EXPECT_EQ(MeanContextLength({one, three}), 3);  // 10 / 4
  EXPECT_EQ(MeanContextLength({}), 1);
}

}  // namespace
}  // namespace lorikeet
