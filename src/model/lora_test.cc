#include "model/lora.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "core/error.h"
#include "model/model_for_test.h"

namespace lorikeet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

LoraConfig Targets(std::vector<std::string> targets, int r = 4) {
  LoraConfig config;
  config.r = r;
  config.target_modules = std::move(targets);
  return config;
}

std::vector<std::string> Modules(const LoraAdapter& adapter) {
  std::vector<std::string> modules;
  for (const LoraPair& pair : adapter.pairs()) modules.push_back(pair.module);
  return modules;
}

TEST(LoraAdapter, TargetsAreSetsNamesPathsAndRegexes) {
  const auto model = Model::Load(GoldenDir("llama"), DType::kF32);
  const auto count = [&](const LoraConfig& config) {
    return LoraAdapter::Create(*model, config, 1).pairs().size();
  };
  EXPECT_EQ(count(Targets({"all-linear"})), 14U);
  EXPECT_EQ(count(Targets({"attention"})), 8U);
  EXPECT_EQ(count(Targets({"mlp"})), 6U);
  EXPECT_EQ(count(Targets({"mlp", "q_proj", "lm_head"})), 9U);
  EXPECT_THAT(Modules(LoraAdapter::Create(*model, Targets({"model.layers.1.mlp.up_proj"}), 1)),
              ElementsAre("model.layers.1.mlp.up_proj"));
  LoraConfig regex;
  regex.target_regex = R"(model\.layers\.0\.self_attn\.[qk]_proj)";
  EXPECT_EQ(count(regex), 2U);
}

TEST(LoraAdapter, ATargetThatMatchesNothingIsAnError) {
  const auto model = Model::Load(GoldenDir("llama"), DType::kF32);
  try {
    LoraAdapter::Create(*model, Targets({"q_proj", "query_key_value"}), 1);
    FAIL();
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), HasSubstr("'query_key_value' matches no module"));
    EXPECT_EQ(e.code(), ErrorCode::kInvalidArgument);
  }
}

TEST(LoraAdapter, StartsAsTheArticleSays) {
  const auto model = Model::Load(GoldenDir("llama"), DType::kF32);
  const LoraAdapter adapter = LoraAdapter::Create(*model, Targets({"all-linear"}, 64), 7);
  double sum = 0, squares = 0;
  int64_t count = 0;
  for (const LoraPair& pair : adapter.pairs()) {
    const double bound = 1 / std::sqrt(static_cast<double>(pair.a.cols()));
    for (int64_t i = 0; i < pair.a.size(); ++i) {
      const double x = pair.a.as<float>()[i] / bound;
      ASSERT_LE(std::abs(x), 1);
      sum += x;
      squares += x * x;
      ++count;
    }
    for (int64_t i = 0; i < pair.bt.size(); ++i) ASSERT_EQ(pair.bt.as<float>()[i], 0.0F);
    EXPECT_FLOAT_EQ(pair.scale, 32.0F / 64);
  }
  EXPECT_NEAR(sum / static_cast<double>(count), 0, 0.01);
  EXPECT_NEAR(squares / static_cast<double>(count), 1.0 / 3, 0.01);
}

TEST(LoraAdapter, ANewAdapterLeavesTheBaseAsItIsBitForBit) {
  for (const DType dtype : ComputeDtypes()) {
    const auto model = Model::Load(GoldenDir("qwen3"), dtype);
    const LoraAdapter adapter = LoraAdapter::Create(*model, Targets({"all-linear", "lm_head"}), 1);
    const RandomBatch random({40, 12}, model->config().vocab_size);
    Arena arena(size_t{64} << 20);
    EXPECT_EQ(RunBatch(*model, &adapter, random, Recompute::kNone, false, arena),
              RunBatch(*model, nullptr, random, Recompute::kNone, false, arena));
  }
}

TEST(LoraAdapter, SavedAndLoadedItIsTheSame) {
  const auto model = Model::Load(GoldenDir("qwen2"), DType::kF32);
  const LoraAdapter adapter = LoraAdapter::Load(*model, GoldenDir("qwen2") + "/adapter");
  const std::string dir = ::testing::TempDir() + "/lora_test_adapter";
  std::filesystem::create_directories(dir);
  adapter.Save(dir);
  const LoraAdapter again = LoraAdapter::Load(*model, dir);
  ASSERT_EQ(Modules(adapter), Modules(again));
  for (size_t i = 0; i < adapter.pairs().size(); ++i) {
    const LoraPair &x = adapter.pairs()[i], &y = again.pairs()[i];
    EXPECT_EQ(x.scale, y.scale);
    EXPECT_EQ(std::memcmp(x.a.data, y.a.data, static_cast<size_t>(x.a.bytes())), 0);
    EXPECT_EQ(std::memcmp(x.bt.data, y.bt.data, static_cast<size_t>(x.bt.bytes())), 0);
  }
}

TEST(LoraAdapter, AnAdapterOfAnotherModelIsAnError) {
  const auto model = Model::Load(GoldenDir("llama"), DType::kF32);
  EXPECT_THROW(LoraAdapter::Load(*model, GoldenDir("llama_bias") + "/adapter"), Error);
}

// Only adapted modules get a gradient, the same one as if all modules below were adapted too.
TEST(LoraAdapter, NothingBelowTheLowestAdaptedModuleMatters) {
  const auto model = Model::Load(GoldenDir("llama"), DType::kF32);
  const RandomBatch random({40, 12}, model->config().vocab_size);
  Arena arena(size_t{64} << 20);
  const auto gradient = [&](const std::vector<std::string>& targets) {
    const LoraTraining adapter(LoraAdapter::Create(*model, Targets(targets), 3));
    const std::vector<Param>& params = adapter.params();
    RunBatch(*model, &adapter, random, Recompute::kNone, true, arena);
    const Tensor grad = params.back().grad;  // B of the last module
    EXPECT_EQ(params.back().name, "model.layers.1.mlp.down_proj.lora_B");
    return std::vector<float>(grad.as<float>(), grad.as<float>() + grad.size());
  };
  const std::vector<float> alone = gradient({"model.layers.1.mlp.down_proj"});
  EXPECT_EQ(alone, gradient({"all-linear"}));
  EXPECT_NE(alone, std::vector<float>(alone.size(), 0.0F));
}

TEST(LoraTraining, ASnapshotKeepsItsValuesWhenTheAdapterMoves) {
  const auto model = Model::Load(GoldenDir("llama"), DType::kF32);
  LoraTraining training(LoraAdapter::Create(*model, Targets({"all-linear"}), 3));
  const auto before = training.Snapshot();
  EXPECT_EQ(training.Snapshot(), before);  // nothing has changed
  const float first = before->slots()[0].a.as<float>()[0];
  training.params()[0].value.as<float>()[0] = first + 1;
  training.ValuesChanged();
  const auto after = training.Snapshot();
  EXPECT_EQ(before->slots()[0].a.as<float>()[0], first);
  EXPECT_EQ(after->slots()[0].a.as<float>()[0], first + 1);
  EXPECT_NE(before->version(), after->version());
}

}  // namespace
}  // namespace lorikeet
