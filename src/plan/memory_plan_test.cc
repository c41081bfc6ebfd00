// The plan is the arena's own high mark, and what else a run holds, over models that differ in
// everything the plan reads.
#include "plan/memory_plan.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>

#include "core/parallel.h"
#include "model/model_for_test.h"
#include "model/random_model_for_test.h"

namespace lorikeet {
namespace {

struct Case {
  const char* name;
  const Architecture& architecture;
  int64_t r;  // 0: full fine-tuning
  std::vector<std::string> targets;
  std::vector<int64_t> lengths;  // lengths of the batch's sequences
  bool shared_outer = false;
};

//                                         D  H  K  Dh   F  L   V   tied biases
const Architecture kGrouped = {"llama", 96, 6, 2, 16, 256, 3, 500, true, false};
const Architecture kMultiHead = {"llama", 64, 4, 4, 16, 176, 4, 300, false, true};
const Architecture kQwen2 = {"qwen2", 64, 8, 1, 8, 128, 2, 1000, true, false};
const Architecture kQwen3 = {"qwen3", 48, 3, 3, 32, 80, 2, 400, true, false};
const Architecture kExperts = {"qwen3_moe", 48, 3, 3, 32, 80, 2, 200, true, false, 7, 2, 40};
const Architecture kMixedExperts = {"qwen3_moe", 64,    4,     2, 16, 160, 3,
                                    300,         false, false, 4, 4,  48,  {1}};
const Architecture kDeep = {"llama", 32, 2, 2, 16, 64, 12, 64, false, false};
const Architecture kHeadHeavy = {"llama", 32, 2, 1, 16, 48, 1, 4000, true, false};

std::vector<Case> Cases() {
  const std::vector<std::string> all = {"all-linear"}, with_head = {"all-linear", "lm_head"};
  return {{"grouped_small_rank", kGrouped, 2, all, {64}},
          {"grouped_large_rank", kGrouped, 128, all, {100, 300, 112}},
          {"grouped_full", kGrouped, 0, {}, {130, 126}},
          {"multi_head_biases_adapted_head", kMultiHead, 16, with_head, {256}},
          {"multi_head_biases_full", kMultiHead, 0, {}, {512}},
          {"qwen2_attention_only", kQwen2, 8, {"attention"}, {64, 64, 64, 64}},
          {"qwen3_norms_mlp_only", kQwen3, 4, {"mlp"}, {200}},
          {"qwen3_norms_full", kQwen3, 0, {}, {77}},
          {"experts", kExperts, 4, all, {200, 56}},
          {"experts_and_router", kExperts, 3, {"all-linear", "router"}, {128}},
          {"experts_shared_outer", kExperts, 8, all, {128}, true},
          {"experts_attention_only", kExperts, 8, {"attention"}, {128}},
          {"experts_full", kExperts, 0, {}, {99}},
          {"mixed_experts", kMixedExperts, 16, with_head, {256}},
          {"mixed_experts_full", kMixedExperts, 0, {}, {64, 64}},
          {"deep_one_module", kDeep, 32, {"v_proj"}, {128}},
          {"head_heavy", kHeadHeavy, 4, with_head, {512}},
          {"head_heavy_full", kHeadHeavy, 0, {}, {64}}};
}

// Each architecture's files are written once.
std::unique_ptr<Model> Load(const Architecture& architecture, DType compute) {
  static std::map<const Architecture*, std::unique_ptr<RandomModel>> models;
  std::unique_ptr<RandomModel>& model = models[&architecture];
  if (!model) model = std::make_unique<RandomModel>(architecture, std::to_string(models.size()));
  return model->Load(compute);
}

class PlanTest : public ::testing::TestWithParam<std::tuple<size_t, DType, Recompute>> {
 protected:
  void SetUp() override {
    if (std::get<DType>(GetParam()) == DType::kBF16 && !HasNativeBf16()) {
      GTEST_SKIP() << "this CPU has no native bf16 products";
    }
    SetNumThreads(1);  // a team would only wait for itself in models this small
  }
  void TearDown() override { SetNumThreads(threads_); }
  size_t Part(const std::vector<MemoryPart>& parts, const std::string& name) {
    size_t bytes = 0;
    for (const MemoryPart& part : parts) {
      if (part.name.starts_with(name)) bytes += part.bytes;
    }
    return bytes;
  }
  int threads_ = NumThreads();
};

TEST_P(PlanTest, IsTheArenasHighMark) {
  const auto& [index, dtype, recompute] = GetParam();
  const Case c = Cases()[index];
  const auto model = Load(c.architecture, dtype);
  const bool full = c.r == 0;
  std::optional<LoraTraining> adapter;
  if (full) {
    model->MakeTrainable();
  } else {
    LoraConfig config;
    config.r = static_cast<int>(c.r);
    config.target_modules = c.targets;
    config.shared_outer = c.shared_outer;
    adapter.emplace(LoraAdapter::Create(*model, config, 1));
  }
  const LoraTraining* used = full ? nullptr : &*adapter;
  RandomBatch random(c.lengths, model->config().vocab_size);
  random.weights.assign(random.weights.size(), 1.0F);  // the plan is for every row trained
  const int64_t T = random.batch.num_tokens();
  const TrainingShape shape = {.method = full ? Method::kFull : Method::kLora,
                               .lora_r = static_cast<int>(c.r),
                               .lora_shared_outer = c.shared_outer,
                               .target_modules = c.targets,
                               .compute = dtype,
                               .recompute = recompute,
                               .tokens_per_microbatch = T};
  for (const bool backward : {false, true}) {
    const size_t planned =
        backward ? TrainingArenaBytes(*model, used, recompute, T)
                 : ForwardArenaBytes(*model, used == nullptr ? nullptr : &used->weights(), T);
    Arena arena(2 * planned);
    RunBatch(*model, used, random, recompute, backward, arena);
    EXPECT_LE(arena.HighMark(), planned) << "backward " << backward << "\n" << arena.Report();
    EXPECT_GE(1.1 * static_cast<double>(arena.HighMark()), static_cast<double>(planned))
        << "backward " << backward << "\n"
        << arena.Report();
    if (model->config().num_experts == 0) {
      EXPECT_EQ(arena.HighMark(), planned);
    }
    if (!backward) continue;
    const auto parts = PlanTrainingMemory(model->config(), shape, DType::kF32);
    EXPECT_EQ(Part(parts, "activations"), planned);
  }
}

TEST_P(PlanTest, KnowsWeightsAndAdapter) {
  const auto& [index, dtype, recompute] = GetParam();
  if (recompute == Recompute::kBlock) return;  // no difference
  const Case c = Cases()[index];
  const auto model = Load(c.architecture, dtype);
  TrainingShape shape = {.compute = dtype};
  if (c.r == 0) {
    shape.method = Method::kFull;
    model->MakeTrainable();
    const auto parts = PlanTrainingMemory(model->config(), shape, DType::kF32);
    EXPECT_EQ(Part(parts, "weights") + Part(parts, "gradients"), model->OwnedBytes());
    return;
  }
  shape.lora_r = static_cast<int>(c.r);
  shape.target_modules = c.targets;
  shape.lora_shared_outer = c.shared_outer;
  const auto parts = PlanTrainingMemory(model->config(), shape, DType::kF32);
  EXPECT_EQ(Part(parts, "base weights"), model->OwnedBytes() + model->MappedBytes());
  LoraConfig config;
  config.r = shape.lora_r;
  config.target_modules = shape.target_modules;
  config.shared_outer = c.shared_outer;
  LoraAdapter adapter = LoraAdapter::Create(*model, config, 1);
  EXPECT_EQ(Part(parts, "adapter"), adapter.Bytes());
  const int64_t parameters = adapter.NumParameters();
  int64_t gradients = 0;
  const LoraTraining training(std::move(adapter));
  for (const Param& param : training.params()) gradients += param.grad.bytes();
  EXPECT_EQ(static_cast<int64_t>(Part(parts, "gradients")), gradients);
  EXPECT_EQ(static_cast<int64_t>(Part(parts, "optimizer moments")), 8 * parameters);
}

INSTANTIATE_TEST_SUITE_P(Cases, PlanTest,
                         ::testing::Combine(::testing::Range<size_t>(0, Cases().size()),
                                            ::testing::Values(DType::kF32, DType::kBF16),
                                            ::testing::Values(Recompute::kNone, Recompute::kBlock)),
                         [](const auto& param) {
                           return std::string(Cases()[std::get<0>(param.param)].name) + "_" +
                                  DTypeName(std::get<1>(param.param)) +
                                  (std::get<2>(param.param) == Recompute::kBlock ? "_block"
                                                                                 : "_none");
                         });

TEST(MemoryPlan, CountsWhatTheModelHas) {
  for (const std::string& family : GoldenFamilies()) {
    const auto model = Model::Load(GoldenDir(family), DType::kF32);
    EXPECT_EQ(CountParameters(model->config()), model->NumParameters()) << family;
    TrainingShape shape;
    shape.lora_r = 3;
    shape.target_modules = {"mlp", ".*[.](q_proj|qkv_proj)", "lm_head"};
    LoraConfig config;
    config.r = 3;
    config.target_modules = shape.target_modules;
    EXPECT_EQ(CountTrainable(model->config(), shape),
              LoraAdapter::Create(*model, config, 1).NumParameters())
        << family;
  }
}

}  // namespace
}  // namespace lorikeet
