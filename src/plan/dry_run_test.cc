// A dry run is the wet one without values: the same operations in the same order, the same arena.
#include "plan/dry_run.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/parallel.h"
#include "kernels/cast.h"
#include "kernels/expert_rows.h"
#include "kernels/trace.h"
#include "model/model_for_test.h"

namespace lorikeet {
namespace {

const std::vector<int64_t> kLengths = {5, 9, 3};

std::vector<std::string> Operations(const Recorder& recorder) {
  std::vector<std::string> operations;
  for (const uint32_t i : recorder.order()) {
    const RecordedCall& c = recorder.calls()[i];
    operations.push_back(fmt::format("{}: {} {} [{}] {} FLOPs, {} bytes", c.call.part, c.what,
                                     c.call.kernel, c.call.shape.Text(), c.call.flops,
                                     c.call.bytes));
  }
  return operations;
}

// Without a router's logits every token goes to the first experts, as a dry run assumes.
void SendAllTogether(Model& model) {
  ForEachLinear(model.weights(), [](Linear& linear) {
    if (linear.name.ends_with(".gate")) Zero(linear.weight);
  });
}

struct Outcome {
  std::vector<std::string> operations;
  size_t arena_bytes = 0;
};

void ExpectSame(const Outcome& wet, const Outcome& dry) {
  EXPECT_EQ(wet.arena_bytes, dry.arena_bytes);
  ASSERT_EQ(wet.operations.size(), dry.operations.size());
  for (size_t i = 0; i < wet.operations.size(); ++i) {
    ASSERT_EQ(wet.operations[i], dry.operations[i]) << "operation " << i;
  }
}

LoraConfig AdapterOf(const TrainingShape& shape) {
  LoraConfig config;
  config.r = shape.lora_r;
  config.target_modules = shape.target_modules;
  return config;
}

Outcome WetStep(const std::string& family, const TrainingShape& shape) {
  const std::unique_ptr<Model> model = Model::Load(GoldenDir(family), shape.compute);
  SendAllTogether(*model);
  std::optional<LoraTraining> adapter;
  if (shape.method == Method::kLora) {
    adapter.emplace(LoraAdapter::Create(*model, AdapterOf(shape), 1));
  }
  AdamWOptimizer optimizer(adapter ? adapter->params() : model->MakeTrainable());
  RandomBatch random(kLengths, model->config().vocab_size);
  random.weights.assign(random.weights.size(), 1.0F);
  Arena arena(size_t{64} << 20);
  const Recorder recorder;
  RunBatch(*model, Adapted(adapter ? &*adapter : nullptr), random, shape.recompute,
           /*backward=*/true, arena);
  optimizer.Step({.learning_rate = 1e-4});
  return {Operations(recorder), arena.HighMark()};
}

Outcome DryStep(const ModelConfig& config, const TrainingShape& shape) {
  RunSkeleton run(config, shape);
  const DryRouting routing(DryRouting::kAllTogether);
  const Recorder recorder;
  const DryPass pass = run.ForwardBackward(kLengths, shape.recompute);
  run.OptimStep();
  return {Operations(recorder), pass.arena_bytes};
}

class DryRunTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { SetNumThreads(1); }  // a team would only wait for itself
  void TearDown() override { SetNumThreads(threads_); }
  int threads_ = NumThreads();
};

TEST_P(DryRunTest, StepIsTheWetOne) {
  const ModelConfig config = Model::Load(GoldenDir(GetParam()), DType::kF32)->config();
  for (const DType compute : ComputeDtypes()) {
    for (const Method method : {Method::kLora, Method::kFull}) {
      for (const Recompute recompute : {Recompute::kNone, Recompute::kBlock}) {
        SCOPED_TRACE(fmt::format("{} {} {}", DTypeName(compute),
                                 method == Method::kLora ? "LoRA" : "full",
                                 recompute == Recompute::kNone ? "none" : "block"));
        const TrainingShape shape = {.method = method,
                                     .lora_r = 4,
                                     .target_modules = {"all-linear", "lm_head"},
                                     .compute = compute,
                                     .recompute = recompute};
        ExpectSame(WetStep(GetParam(), shape), DryStep(config, shape));
      }
    }
  }
}

TEST_P(DryRunTest, DecodingIsTheWetOne) {
  constexpr int64_t kTokens = 11, kRows = 3;
  const std::unique_ptr<Model> model = Model::Load(GoldenDir(GetParam()), DType::kF32);
  SendAllTogether(*model);
  const LoraAdapter adapter = LoraAdapter::Create(*model, AdapterOf({.lora_r = 4}), 1);
  Outcome wet, dry;
  {
    Arena arena(size_t{64} << 20);
    KvCache cache(model->config(), model->compute(), 1);
    const RandomBatch random({kTokens}, model->config().vocab_size);
    const SequenceState state = {{cache.Allocate(-1)}};
    const SequenceState* const states[] = {&state};
    const Recorder recorder;
    const Tensor hidden =
        Forward(*model, random.batch,
                {.adapter = &adapter.weights(), .cache = &cache, .states = states}, arena);
    const Tensor last = arena.Take("logits", DType::kF32, {kRows, hidden.cols()});
    const Tensor logits = arena.Take("logits", DType::kF32, {kRows, model->config().vocab_size});
    HeadLogits(*model, AllRows(&adapter.weights(), kRows), last, logits, arena);
    wet = {Operations(recorder), arena.HighMark()};
  }
  {
    const DryRouting routing(DryRouting::kAllTogether);
    const Recorder recorder;
    dry.arena_bytes = DryDecode(*model, &adapter.weights(), kTokens, kRows).arena_bytes;
    dry.operations = Operations(recorder);
  }
  ExpectSame(wet, dry);
}

INSTANTIATE_TEST_SUITE_P(Families, DryRunTest, ::testing::ValuesIn(GoldenFamilies()),
                         [](const auto& param) { return param.param; });

TEST(DryRun, AnExpertModelIsPlannedWithoutItsMemory) {
  ModelConfig config = Model::Load(GoldenDir("qwen3_moe"), DType::kF32)->config();
  for (LayerSpec& layer : config.layers) {  // 480 GiB
    for (SublayerSpec& sublayer : layer.sublayers) {
      for (BlockSpec& block : sublayer.branches) {
        if (auto* moe = std::get_if<MoeSpec>(&block)) moe->intermediate_size = int64_t{1} << 28;
      }
    }
  }
  const RunSkeleton run(config, {.lora_r = 4});
  EXPECT_GT(run.model().OwnedBytes(), size_t{1} << 38);
  EXPECT_GT(run.ForwardBackward({64}, Recompute::kNone).arena_bytes, size_t{1} << 28);
}

}  // namespace
}  // namespace lorikeet
