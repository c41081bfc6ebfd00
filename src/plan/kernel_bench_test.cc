#include "plan/kernel_bench.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "core/error.h"
#include "kernels/swiglu.h"
#include "model/model_for_test.h"

namespace lorikeet {
namespace {

TrainingShape ShapeOf(DType compute) {
  TrainingShape shape;
  shape.lora_r = 4;
  shape.compute = compute;
  shape.tokens_per_microbatch = 24;
  shape.sequence_length = 9;
  return shape;
}

// Kernels CHECK the shapes of what they are given.
TEST(KernelCases, EveryCaseRunsOnTheOperandsThatItMakes) {
  for (const std::string& family : GoldenFamilies()) {
    const ModelConfig config = Model::Load(GoldenDir(family), DType::kF32)->config();
    for (const DType compute : ComputeDtypes()) {
      std::set<std::string> parts;
      for (const KernelCase& item : KernelCases(config, ShapeOf(compute), 24)) {
        ASSERT_TRUE(item.step.call.replay) << item.step.Name();
        const Relocate memory(item.step.call.replay);
        item.step.call.replay(memory);
        item.step.call.replay(memory);
        EXPECT_GT(item.step.call.bytes, 0) << item.step.Name();
        parts.insert(item.step.part);
      }
      const int more =
          (config.num_experts > 0 ? 1 : 0) + (config.final_logit_softcapping > 0 ? 1 : 0);
      EXPECT_EQ(parts.size(), 13U + more) << family << ": " << ::testing::PrintToString(parts);
    }
  }
}

TEST(KernelCases, AreTheCallsOfBothMethods) {
  const ModelConfig config = SmolLm2Shapes();
  const TrainingShape lora = ShapeOf(DType::kF32);
  TrainingShape full = lora;
  full.method = Method::kFull;
  double lora_calls = 0, full_calls = 0;
  std::set<std::string> names;
  const std::vector<KernelCase> cases = KernelCases(config, lora, 24);
  for (const KernelCase& item : cases) {
    lora_calls += item.lora_calls;
    full_calls += item.full_calls;
    names.insert(item.step.part + item.step.what + item.step.call.kernel + item.step.call.shape);
  }
  EXPECT_EQ(names.size(), cases.size());
  for (const StepCall& step : StepCalls(config, lora, 24)) lora_calls -= step.count;
  for (const StepCall& step : StepCalls(config, full, 24)) full_calls -= step.count;
  EXPECT_EQ(lora_calls, 0);
  EXPECT_EQ(full_calls, 0);
}

TEST(KernelCases, OperandsThatDoNotFitAreRefused) {
  Replay replay;
  {
    const DryScope dry;
    const Recorder recorder(/*with_replays=*/true);
    TensorPool pool;
    const Tensor x = pool.Take(DType::kF32, {int64_t{1} << 32, 1 << 16});
    SwigluBackward(x, x, x, x, x, Tensor());
    replay = recorder.calls()[0].replay;
  }
  try {
    const Relocate memory(replay);
    FAIL() << "a petabyte was there";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kOutOfMemory);
    EXPECT_THAT(e.what(), ::testing::HasSubstr("give fewer --tokens"));
  }
}

TEST(SmolLm2Shapes, AreThoseOf135M) { EXPECT_EQ(CountParameters(SmolLm2Shapes()), 134515008); }

}  // namespace
}  // namespace lorikeet
