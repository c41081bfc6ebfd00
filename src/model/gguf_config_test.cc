// Tests of metadata in place of config.json: what is written is read as the same config, or
// refused.
#include "model/gguf_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "checkpoint/model_source.h"
#include "core/error.h"
#include "model/config_for_test.h"

namespace lorikeet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Metadata that the writer makes from a config.json, or the error that refuses it.
struct Outcome {
  GgufConfig made;
  std::string refusal;

  bool Has(const std::string& key) const {
    return std::ranges::any_of(made.metadata, [&](const auto& row) { return row.first == key; });
  }
  template <class T>
  T Value(const std::string& key) const {
    for (const auto& [name, value] : made.metadata) {
      if (name == key) return std::get<T>(value);
    }
    return {};
  }
};

Outcome WriteConfig(const Json& json) {
  Outcome outcome;
  const ModelConfig config = ReadConfig(json);
  try {
    const GgufArchitecture& architecture = GgufArchitectureOf(config.model_type, "m");
    outcome.made = MakeGgufConfig(config, architecture, "m");
    GgufMetadata metadata = outcome.made.metadata;
    metadata.emplace_back("general.architecture", architecture.name);
    std::vector<TensorToWrite> tensors = {
        {"token_embd.weight", DType::kF32, {config.vocab_size, config.hidden_size}, nullptr}};
    const auto add = [&](bool has, const char* name, std::vector<int64_t> shape) {
      if (has) tensors.push_back({name, DType::kF32, std::move(shape), nullptr});
    };
    add(!config.tie_word_embeddings, "output.weight", {config.vocab_size, config.hidden_size});
    add(config.qkv_bias, "blk.0.attn_q.bias", {config.q_size()});
    add(config.mlp_bias, "blk.0.ffn_up.bias", {config.intermediate_size});
    for (const auto& [name, values] : outcome.made.rope_factors) {
      tensors.push_back({name, DType::kF32, {std::ssize(values)}, values.data()});
    }
    const GgufOutline outline(metadata, tensors);
    const ModelSource again = ModelSource::Open(outline.path());
    CheckGgufConfig(config, ReadModelConfig(again.config(), "m"), architecture, "m");
  } catch (const Error& e) {
    outcome.refusal = e.what();
  }
  return outcome;
}

std::string RefusalOf(const Json& json) { return WriteConfig(json).refusal; }

TEST(GgufConfig, ListsTheWindowsOfExaone) {
  const auto exaone = [](int64_t layers, const Json& window) {
    return TinyConfig("exaone4", 4, {{"num_hidden_layers", layers}, {"sliding_window", window}});
  };
  const Outcome outcome = WriteConfig(exaone(64, 16));
  EXPECT_EQ(outcome.refusal, "");
  EXPECT_EQ(outcome.Value<uint32_t>("exaone4.attention.sliding_window"), 16);
  const auto pattern = outcome.Value<std::vector<bool>>("exaone4.attention.sliding_window_pattern");
  ASSERT_EQ(pattern.size(), 64);
  EXPECT_EQ(std::vector<bool>(pattern.begin(), pattern.begin() + 5),
            std::vector<bool>({true, true, true, false, true}));
  // Other sizes have no windows in llama.cpp, and this one always has.
  EXPECT_THAT(RefusalOf(exaone(4, 16)), HasSubstr("sliding_window of layer 0 is 16"));
  EXPECT_EQ(RefusalOf(exaone(4, nullptr)), "");
  EXPECT_THAT(RefusalOf(exaone(64, nullptr)), HasSubstr("sliding_window of layer 0 is 0"));
}

TEST(GgufConfig, NotesWindowsThatLlamaCppDoesNotCompute) {
  Json phi3 = TinyConfig("phi3", 4, {{"num_hidden_layers", 32}, {"max_position_embeddings", 4096}});
  phi3["sliding_window"] = 2047;
  const Outcome windowed = WriteConfig(phi3);
  EXPECT_EQ(windowed.refusal, "");
  EXPECT_THAT(windowed.made.notes, ElementsAre(HasSubstr("other logits after 2047 tokens")));
  // Without the key a file of this size would mean a window.
  phi3["sliding_window"] = nullptr;
  const Outcome plain = WriteConfig(phi3);
  EXPECT_EQ(plain.refusal, "");
  EXPECT_TRUE(plain.Has("phi3.attention.sliding_window"));
  EXPECT_THAT(plain.made.notes, IsEmpty());
  EXPECT_THAT(WriteConfig(TinyConfig("starcoder2", 4, {{"sliding_window", 8}})).made.notes,
              ElementsAre(HasSubstr("other logits after 8 tokens")));
}

TEST(GgufConfig, WindowsOfOtherLayersThanEveryNthAreRefused) {
  Json cohere2 = TinyConfig("cohere2", 4, {{"sliding_window", 8}, {"sliding_window_pattern", 2}});
  const Outcome outcome = WriteConfig(cohere2);
  EXPECT_EQ(outcome.refusal, "");
  EXPECT_EQ(outcome.Value<uint32_t>("cohere2.attention.sliding_window_pattern"), 2);
  cohere2["layer_types"] = {"full_attention", "sliding_attention", "sliding_attention",
                            "full_attention"};
  EXPECT_THAT(RefusalOf(cohere2), HasSubstr("sliding_window of layer 1"));
}

TEST(GgufConfig, WritesParametersOfYarnWhereTheyAreRead) {
  const auto yarn = [](const char* type, double beta_fast, const Json& more = nullptr) {
    Json rope = {{"rope_type", "yarn"}, {"factor", 4.0}, {"beta_fast", beta_fast}};
    rope["original_max_position_embeddings"] = 4096;
    if (!more.is_null()) rope.update(more);
    return WriteConfig(TinyConfig(type, 4, {{"rope_parameters", rope}}));
  };
  EXPECT_EQ(yarn("llama", 32).refusal, "");
  EXPECT_FALSE(yarn("llama", 32).Has("llama.rope.scaling.yarn_beta_fast"));
  EXPECT_THAT(yarn("llama", 4).refusal, HasSubstr("rope_scaling"));
  const Outcome outcome = yarn(
      "ministral3", 4, {{"mscale", 1.0}, {"mscale_all_dim", 0.5}, {"llama_4_scaling_beta", 0.2}});
  EXPECT_EQ(outcome.refusal, "");
  EXPECT_EQ(outcome.Value<float>("mistral3.rope.scaling.yarn_beta_fast"), 4);
  EXPECT_EQ(outcome.Value<float>("mistral3.rope.scaling.yarn_log_multiplier"), 0.5F);
  EXPECT_EQ(outcome.Value<float>("mistral3.attention.temperature_scale"), 0.2F);
  EXPECT_EQ(yarn("ministral3", 32, {{"mscale", 2.0}, {"mscale_all_dim", 0.5}}).refusal, "");
}

TEST(GgufConfig, WritesGranitesFactors) {
  for (const double scaling : {1.0, 8.0, 16.3, 7.1, 3.3, 0.7}) {
    const Outcome outcome = WriteConfig(TinyConfig("granite", 4,
                                                   {{"logits_scaling", scaling},
                                                    {"embedding_multiplier", 12.3},
                                                    {"residual_multiplier", 0.22},
                                                    {"attention_multiplier", 0.015625}}));
    EXPECT_EQ(outcome.refusal, "");
    EXPECT_NEAR(outcome.Value<float>("granite.logit_scale"), scaling, 1e-6 * scaling);
  }
  Json dense = TinyConfig("granitemoehybrid", 4,
                          {{"num_local_experts", 0},
                           {"shared_intermediate_size", 80},
                           {"position_embedding_type", "rope"}});
  dense["layer_types"] = std::vector<std::string>(4, "attention");
  EXPECT_EQ(RefusalOf(dense), "");
  dense["position_embedding_type"] = "nope";
  EXPECT_THAT(RefusalOf(dense), HasSubstr("no_rope_layers"));
}

TEST(GgufConfig, ATensorThatLlamaCppDoesNotHaveIsRefused) {
  EXPECT_THAT(RefusalOf(TinyConfig("olmo2", 4, {{"tie_word_embeddings", true}})),
              HasSubstr("the embedding is the head"));
  EXPECT_THAT(RefusalOf(TinyConfig("cohere2", 4, {{"tie_word_embeddings", false}})),
              HasSubstr("a head that is not the embedding"));
  EXPECT_THAT(RefusalOf(TinyConfig("starcoder2", 4, {{"use_bias", false}})),
              HasSubstr("there are no biases"));
  EXPECT_THAT(RefusalOf(TinyConfig("seed_oss", 4, {{"attention_out_bias", true}})),
              HasSubstr("o_proj has a bias"));
}

// Theta times a power of alpha is no f32.
TEST(GgufConfig, RoundsTheThetaOfHunyuan) {
  const Json alpha = {{"type", "dynamic"}, {"alpha", 1000.0}, {"factor", 1.0}};
  const Outcome outcome = WriteConfig(TinyConfig("hunyuan_v1_dense", 4, {{"rope_scaling", alpha}}));
  EXPECT_EQ(outcome.refusal, "");
  EXPECT_GT(outcome.Value<float>("hunyuan-dense.rope.freq_base"), 1e6F);
}

}  // namespace
}  // namespace lorikeet
