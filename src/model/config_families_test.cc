// Tests of what config.json means in families that differ from Llama in where norms stand, in
// factors, and in which layers have rope.
#include <gmock/gmock.h>

#include <cmath>

#include "model/config_for_test.h"

namespace lorikeet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Json Small(const char* type, const Json& changes = Json::object()) {
  return TinyConfig(type, 5, changes);
}

std::vector<int> Ropes(const ModelConfig& config) {
  std::vector<int> ropes;
  for (size_t l = 0; l < config.layers.size(); ++l)
    ropes.push_back(AttentionSpecOf(config, l).rope);
  return ropes;
}

TEST(OlmoConfig, NormsStandAfterTheBranchesAlone) {
  for (const char* type : {"olmo2", "olmo3"}) {
    const ModelConfig c = ReadConfig(Small(type));
    const std::vector<SublayerSpec>& sublayers = c.layers[0].sublayers;
    EXPECT_EQ(sublayers[0].norm + sublayers[1].norm, "");
    EXPECT_EQ(sublayers[0].norm_after, "post_attention_layernorm");
    EXPECT_EQ(sublayers[1].norm_after, "post_feedforward_layernorm");
    EXPECT_TRUE(AttentionSpecOf(c, 0).qk_norm_whole);
    EXPECT_EQ(c.norm_kind, NormKind::kRmsOnce);
  }
}

TEST(OlmoConfig, Olmo3ScalesTheRopeOfLayersWithoutAWindow) {
  const ModelConfig plain = ReadConfig(Small("olmo3"));
  EXPECT_THAT(WindowsOf(plain), ElementsAre(4096, 4096, 4096, 0, 4096));
  EXPECT_THAT(std::tuple(plain.rope_theta, plain.rope_local_base_freq), std::tuple(5e5, 5e5));
  const Json yarn = {
      {"rope_type", "yarn"}, {"factor", 8.0}, {"original_max_position_embeddings", 64}};
  const ModelConfig scaled =
      ReadConfig(Small("olmo3", {{"rope_scaling", yarn}, {"rope_theta", 5e5}}));
  EXPECT_THAT(Ropes(scaled), ElementsAre(1, 1, 1, 0, 1));
  EXPECT_EQ(scaled.rope_scaling.type, "yarn");
  EXPECT_EQ(scaled.local_rope_scaling.type, "default");
  EXPECT_EQ(scaled.rope_local_base_freq, 5e5);
  EXPECT_THAT(scaled.notes, IsEmpty());
  EXPECT_THAT(ConfigError(Small("olmo3", {{"rope_theta", 1e6}})), HasSubstr("rope_theta is 1e+06"));
  const Json blocks = {{"full_attention", {{"rope_type", "default"}, {"rope_theta", 1e6}}},
                       {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 1e4}}}};
  const ModelConfig own = ReadConfig(Small("olmo3", {{"rope_parameters", blocks}}));
  EXPECT_THAT(std::tuple(own.rope_theta, own.rope_local_base_freq), std::tuple(1e6, 1e4));
}

TEST(GraniteConfig, ReadsItsFourFactors) {
  const ModelConfig plain = ReadConfig(Small("granite"));
  EXPECT_THAT(std::tuple(plain.embedding_multiplier, plain.residual_multiplier,
                         plain.logit_multiplier, AttentionSpecOf(plain, 0).score_scale),
              std::tuple(1, 1, 1, 1));
  const ModelConfig c = ReadConfig(Small("granite", {{"embedding_multiplier", 12},
                                                     {"residual_multiplier", 0.25},
                                                     {"attention_multiplier", 0.0625},
                                                     {"logits_scaling", 8}}));
  EXPECT_THAT(std::tuple(c.embedding_multiplier, c.logit_multiplier), std::tuple(12, 0.125));
  EXPECT_EQ(AttentionSpecOf(c, 0).score_scale, 0.0625F);
  EXPECT_FALSE(c.rounds_embedding_multiplier);
  for (const SublayerSpec& sublayer : c.layers[4].sublayers) {
    EXPECT_EQ(sublayer.multiplier, 0.25F);
    EXPECT_EQ(sublayer.norm_after, "");
  }
  EXPECT_THAT(c.notes, IsEmpty());
  EXPECT_THAT(ConfigError(Small("granite", {{"logits_scaling", 0}})),
              HasSubstr("logits_scaling is 0"));
  EXPECT_THAT(ConfigError(Small("granite", {{"residual_multiplier", nullptr}})),
              HasSubstr("residual_multiplier is null"));
}

TEST(GraniteConfig, OtherFamiliesDoNotReadTheFactors) {
  const ModelConfig c =
      ReadConfig(Small("llama", {{"logits_scaling", 8}, {"residual_multiplier", 1.0}}));
  EXPECT_EQ(c.logit_multiplier, 1);
  EXPECT_THAT(c.notes, ElementsAre(HasSubstr("not used for llama: logits_scaling")));
}

TEST(SeedOssConfig, HasBiasesOfQKAndVByDefault) {
  const auto biases = [](const Json& changes) {
    const ModelConfig c = ReadConfig(Small("seed_oss", changes));
    return std::tuple(c.qkv_bias, c.o_bias, c.mlp_bias);
  };
  EXPECT_THAT(biases(Json::object()), std::tuple(true, false, false));
  EXPECT_THAT(biases({{"attention_bias", false}}), std::tuple(false, false, false));
  EXPECT_THAT(biases({{"attention_out_bias", true}, {"mlp_bias", true}}),
              std::tuple(true, true, true));
}

TEST(Qwen2MoeConfig, HasASharedExpertAndWindowsOnEvenLayers) {
  const ModelConfig c = ReadConfig(Small("qwen2_moe", {{"use_sliding_window", true},
                                                       {"sliding_window", 8},
                                                       {"max_window_layers", 3},
                                                       {"mlp_only_layers", {1}},
                                                       {"shared_expert_intermediate_size", 48}}));
  EXPECT_THAT(WindowsOf(c), ElementsAre(8, 0, 8, 0, 0));
  EXPECT_EQ(c.layers[0].sublayers[1].branches.size(), 2U);
  EXPECT_EQ(std::get<SharedExpertSpec>(c.layers[0].sublayers[1].branches[1]).intermediate_size, 48);
  EXPECT_EQ(c.layers[1].sublayers[1].branches.size(), 1U);
  EXPECT_FALSE(c.norm_topk_prob);
  EXPECT_TRUE(c.qkv_bias);
  EXPECT_FALSE(ReadConfig(Small("qwen2_moe", {{"qkv_bias", false}})).qkv_bias);
  EXPECT_THAT(WindowsOf(ReadConfig(Small("qwen2_moe"))), ElementsAre(0, 0, 0, 0, 0));
}

TEST(OlmoeConfig, ItsExpertsHaveTheIntermediateSize) {
  const ModelConfig c =
      ReadConfig(Small("olmoe", {{"clip_qkv", nullptr}, {"norm_topk_prob", false}}));
  EXPECT_EQ(std::get<MoeSpec>(c.layers[0].sublayers[1].branches[0]).intermediate_size, 80);
  EXPECT_TRUE(AttentionSpecOf(c, 0).qk_norm_whole);
  EXPECT_THAT(c.notes, IsEmpty());
  EXPECT_THAT(ConfigError(Small("olmoe", {{"clip_qkv", 8.0}})), HasSubstr("clip_qkv"));
}

TEST(GraniteHybridConfig, IsDenseOrRefused) {
  const Json dense = {{"num_local_experts", 0},
                      {"layer_types", Json(5, "attention")},
                      {"shared_intermediate_size", 48},
                      {"position_embedding_type", "rope"},
                      {"mamba_n_heads", 48},
                      {"residual_multiplier", 0.25}};
  const ModelConfig c = ReadConfig(Small("granitemoehybrid", dense));
  const auto& mlp = std::get<MlpSpec>(c.layers[0].sublayers[1].branches[0]);
  EXPECT_EQ(mlp.intermediate_size, 48);
  EXPECT_TRUE(mlp.fused());
  EXPECT_EQ(std::string(mlp.names.block) + "." + mlp.names.up, "shared_mlp.input_linear");
  EXPECT_THAT(Ropes(c), ElementsAre(0, 0, 0, 0, 0));
  EXPECT_THAT(c.notes, IsEmpty());
  const auto changed = [&](const char* key, const Json& value) {
    Json config = dense;
    config[key] = value;
    return Small("granitemoehybrid", config);
  };
  EXPECT_THAT(Ropes(ReadConfig(changed("position_embedding_type", nullptr))),
              ElementsAre(-1, -1, -1, -1, -1));
  EXPECT_THAT(ConfigError(changed("num_local_experts", 64)), HasSubstr("num_local_experts is 64"));
  EXPECT_THAT(ConfigError(changed("layer_types", {"attention", "mamba"})),
              HasSubstr("layer_types has a layer 'mamba'"));
  EXPECT_THAT(ConfigError(changed("layer_types", nullptr)), HasSubstr("layer 'mamba'"));
}

TEST(HunyuanConfig, AlphaStretchesTheta) {
  const Json rope = {{"alpha", 1000.0}, {"type", "dynamic"},     {"factor", 1.0},
                     {"mscale", 1.0},   {"mscale_all_dim", 1.0}, {"beta_fast", 32}};
  const ModelConfig c = ReadConfig(Small("hunyuan_v1_dense", {{"rope_scaling", rope}}));
  EXPECT_DOUBLE_EQ(c.rope_theta, 1e4 * std::pow(1000.0, 16.0 / 14.0));
  EXPECT_EQ(c.rope_scaling.type, "default");
  EXPECT_TRUE(AttentionSpecOf(c, 0).qk_norm_after_rope);
  EXPECT_THAT(c.notes, IsEmpty());
  EXPECT_THAT(ConfigError(Small("hunyuan_v1_dense", {{"rope_scaling", {{"type", "dynamic"}}}})),
              HasSubstr("'dynamic' is not supported"));
}

TEST(Exaone4Config, LayersWithoutAWindowHaveNoRopeIfThereIsAWindow) {
  const ModelConfig c = ReadConfig(Small("exaone4", {{"sliding_window", 8}}));
  EXPECT_THAT(WindowsOf(c), ElementsAre(8, 8, 8, 0, 8));
  EXPECT_THAT(Ropes(c), ElementsAre(0, 0, 0, -1, 0));
  const ModelConfig full = ReadConfig(Small("exaone4", {{"sliding_window", nullptr}}));
  EXPECT_THAT(WindowsOf(full), ElementsAre(0, 0, 0, 0, 0));
  EXPECT_THAT(Ropes(full), ElementsAre(0, 0, 0, 0, 0));
}

}  // namespace
}  // namespace lorikeet
