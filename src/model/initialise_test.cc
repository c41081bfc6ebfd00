#include "model/initialise.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <string>

#include "checkpoint/safetensors.h"
#include "core/error.h"
#include "core/file.h"
#include "core/parallel.h"
#include "model/weights.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

Json SmallConfig(const char* model_type) {
  return {{"model_type", model_type}, {"hidden_size", 64},        {"intermediate_size", 160},
          {"num_hidden_layers", 8},   {"num_attention_heads", 4}, {"num_key_value_heads", 2},
          {"head_dim", 16},           {"vocab_size", 300},        {"tie_word_embeddings", true}};
}

// With a dense layer among those of experts, where the family can have one.
Json WithExperts(Json config) {
  config.update({{"num_experts", 4},
                 {"num_experts_per_tok", 2},
                 {"moe_intermediate_size", 96},
                 {"mlp_only_layers", {1}}});
  return config;
}

struct Moments {
  double mean = 0, std = 0, within_one = 0;  // share of values within one standard deviation
};
Moments MomentsOf(const Tensor& t) {
  Moments m;
  const auto n = static_cast<double>(t.size());
  for (int64_t i = 0; i < t.size(); ++i) m.mean += t.as<float>()[i] / n;
  for (int64_t i = 0; i < t.size(); ++i) m.std += std::pow(t.as<float>()[i] - m.mean, 2) / n;
  m.std = std::sqrt(m.std);
  for (int64_t i = 0; i < t.size(); ++i) {
    m.within_one += std::abs(t.as<float>()[i] - m.mean) < m.std ? 1 / n : 0;
  }
  return m;
}

class Initialise : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ = fs::temp_directory_path() / ("lorikeet_initialise_" + std::to_string(getpid()));
    fs::create_directories(dir_);
  }
  void TearDown() override { fs::remove_all(dir_); }
  // The bytes of the weights.
  std::string Write(const Json& config, uint64_t seed) const {
    WriteInitialModel(config, "shape.json", seed, dir_.string());
    return ReadFile((dir_ / "model.safetensors").string());
  }
  fs::path dir_;
};

TEST_F(Initialise, EveryFamilyLoadsWithNothingMissingAndNothingLeft) {
  for (const std::string& family : SupportedModelTypes()) {
    for (const bool tied : {true, false}) {
      Json config = WithExperts(SmallConfig(family.c_str()));  // dense families do not read them
      if (family == "granitemoehybrid") {                      // only without Mamba and experts
        config["num_local_experts"] = 0;
        config["layer_types"] = Json(config["num_hidden_layers"].get<size_t>(), "attention");
      }
      config["tie_word_embeddings"] = tied;
      config["attention_bias"] = config["mlp_bias"] = true;
      Write(config, 1);
      const auto model = Model::Load(dir_.string(), DType::kF32);
      EXPECT_EQ(model->NumParameters(), CountParameters(model->config())) << family;
    }
  }
}

TEST_F(Initialise, TheSeedDecidesAndThreadsDoNot) {
  const Json config = SmallConfig("llama");
  const int threads = NumThreads();
  SetNumThreads(1);
  const std::string one = Write(config, 7);
  SetNumThreads(3);
  EXPECT_TRUE(Write(config, 7) == one);
  SetNumThreads(threads);
  EXPECT_FALSE(Write(config, 8) == one);
}

TEST_F(Initialise, MatricesAreNormalAndWhatWritesTheResidualStreamIsSmaller) {
  Write(SmallConfig("qwen2"), 3);
  const auto file = OpenSafetensors(dir_.string());
  const auto expect_std = [&](const std::string& name, double std) {
    const Moments m = MomentsOf(file->Find(name));
    const auto n = static_cast<double>(file->Find(name).size());
    EXPECT_NEAR(m.std, std, 4 * std / std::sqrt(2 * n)) << name;
    EXPECT_NEAR(m.mean, 0, 4 * std / std::sqrt(n)) << name;
    EXPECT_NEAR(m.within_one, 0.6827, 4 * 0.466 / std::sqrt(n)) << name;
  };
  expect_std("model.embed_tokens.weight", 0.02);
  expect_std("model.layers.0.self_attn.q_proj.weight", 0.02);
  expect_std("model.layers.7.mlp.gate_proj.weight", 0.02);
  expect_std("model.layers.3.self_attn.o_proj.weight", 0.02 / 4);  // sqrt(2 * 8 layers)
  expect_std("model.layers.3.mlp.down_proj.weight", 0.02 / 4);
  EXPECT_EQ(MomentsOf(file->Find("model.layers.2.input_layernorm.weight")).mean, 1);
  EXPECT_EQ(MomentsOf(file->Find("model.norm.weight")).std, 0);
  EXPECT_EQ(MomentsOf(file->Find("model.layers.2.self_attn.k_proj.bias")).mean, 0);
}

TEST_F(Initialise, EveryExpertAndTheRouterAreDrawnAndDownProjectionsAreSmaller) {
  Write(WithExperts(SmallConfig("qwen3_moe")), 3);
  const auto file = OpenSafetensors(dir_.string());
  const std::string mlp = "model.layers.3.mlp.";
  EXPECT_NEAR(MomentsOf(file->Find(mlp + "gate.weight")).std, 0.02, 0.004);
  EXPECT_NEAR(MomentsOf(file->Find(mlp + "experts.3.up_proj.weight")).std, 0.02, 0.001);
  EXPECT_NEAR(MomentsOf(file->Find(mlp + "experts.3.down_proj.weight")).std, 0.005, 0.0003);
  EXPECT_NE(file->Find(mlp + "experts.0.up_proj.weight").as<float>()[0],
            file->Find(mlp + "experts.1.up_proj.weight").as<float>()[0]);
  EXPECT_EQ(file->Find("model.layers.1.mlp.up_proj.weight").rows(), 160);
}

TEST_F(Initialise, InitializerRangeIsTheStandardDeviation) {
  Json config = SmallConfig("llama");
  config["initializer_range"] = 0.1;
  Write(config, 3);
  const auto file = OpenSafetensors(dir_.string());
  EXPECT_NEAR(MomentsOf(file->Find("model.embed_tokens.weight")).std, 0.1, 0.002);
  config["initializer_range"] = "wide";
  try {
    Write(config, 3);
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), HasSubstr("shape.json: initializer_range"));
  }
}

TEST_F(Initialise, TheConfigSaysWhatTransformersWantsToKnow) {
  Write(SmallConfig("qwen3"), 3);
  const Json written = ParseJson(ReadFile((dir_ / "config.json").string()), "config.json");
  EXPECT_EQ(written["architectures"], Json({"Qwen3ForCausalLM"}));
  EXPECT_EQ(written["torch_dtype"], "float32");
  Write(WithExperts(SmallConfig("mixtral")), 3);
  const Json mixture = ParseJson(ReadFile((dir_ / "config.json").string()), "config.json");
  EXPECT_EQ(mixture["architectures"], Json({"MixtralForCausalLM"}));
}

}  // namespace
}  // namespace lorikeet
