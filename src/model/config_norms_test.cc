// Tests of config.json of ERNIE 4.5, GLM-4, StarCoder2, StableLM 2, Cohere2 and Arcee: kinds of
// norms, biases, activations without a gate, and pairs of neighbours in rope.
#include <gmock/gmock.h>

#include "model/config_for_test.h"

namespace lorikeet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Json Small(const char* type, const Json& changes = Json::object()) {
  return TinyConfig(type, 4, changes);
}

TEST(Ernie45Config, OneKeySwitchesAllBiases) {
  const ModelConfig plain = ReadConfig(Small("ernie4_5")),
                    biased = ReadConfig(Small("ernie4_5", {{"use_bias", true}}));
  EXPECT_FALSE(plain.qkv_bias || plain.o_bias || plain.mlp_bias);
  EXPECT_TRUE(biased.qkv_bias && biased.o_bias && biased.mlp_bias);
  EXPECT_TRUE(plain.rope_interleaved);
  EXPECT_EQ(plain.rotary_dim, 16);
  EXPECT_EQ(
      ReadConfig(Small("ernie4_5", {{"head_dim", nullptr}, {"num_attention_heads", 8}})).head_dim,
      8);
}

TEST(Glm4Config, NormsBiasesAndTheHalfThatIsRotated) {
  const ModelConfig config = ReadConfig(Small("glm4"));
  EXPECT_TRUE(config.qkv_bias);
  EXPECT_FALSE(config.o_bias || config.mlp_bias);
  EXPECT_FALSE(ReadConfig(Small("glm4", {{"attention_bias", false}})).qkv_bias);
  EXPECT_EQ(config.rotary_dim, 8);
  EXPECT_EQ(ReadConfig(Small("glm4", {{"partial_rotary_factor", 1.0}})).rotary_dim, 16);
  const auto& sublayers = config.layers[3].sublayers;
  EXPECT_EQ(sublayers[0].norm, "input_layernorm");
  EXPECT_EQ(sublayers[0].norm_after, "post_self_attn_layernorm");
  EXPECT_EQ(sublayers[1].norm, "post_attention_layernorm");
  EXPECT_EQ(sublayers[1].norm_after, "post_mlp_layernorm");
  EXPECT_TRUE(std::get<MlpSpec>(sublayers[1].branches[0]).fused());
  EXPECT_TRUE(config.rope_interleaved);
}

TEST(Starcoder2Config, LayerNormsAndAnMlpWithoutAGate) {
  const ModelConfig config =
      ReadConfig(Small("starcoder2", {{"norm_epsilon", 1e-3}, {"rms_norm_eps", 1.0}}));
  EXPECT_TRUE(config.layer_norm && config.norm_bias);
  EXPECT_EQ(config.rms_norm_eps, 1e-3F);
  EXPECT_THAT(config.notes, ElementsAre(HasSubstr("not used for starcoder2: rms_norm_eps")));
  EXPECT_TRUE(config.qkv_bias && config.o_bias && config.mlp_bias);
  EXPECT_FALSE(ReadConfig(Small("starcoder2", {{"use_bias", false}})).mlp_bias);
  const auto& mlp = std::get<MlpSpec>(config.layers[0].sublayers[1].branches[0]);
  EXPECT_FALSE(mlp.names.gated || mlp.fused() || mlp.has_gate_proj());
  EXPECT_STREQ(mlp.names.up, "c_fc");
  EXPECT_STREQ(mlp.names.down, "c_proj");
  EXPECT_EQ(mlp.activation, Activation::kGeluTanh);
  EXPECT_EQ(config.window(0), 0);
  EXPECT_EQ(ReadConfig(Small("starcoder2", {{"sliding_window", 8}})).window(3), 8);
}

TEST(StableLmConfig, RefusesWhatOnlyTheLargestHas) {
  const ModelConfig config = ReadConfig(Small("stablelm", {{"use_qkv_bias", true}}));
  EXPECT_EQ(config.rotary_dim, 4);
  EXPECT_TRUE(config.qkv_bias && config.layer_norm && config.norm_bias);
  EXPECT_FALSE(config.o_bias || config.mlp_bias || ReadConfig(Small("stablelm")).qkv_bias);
  for (const char* key : {"qk_layernorm", "use_parallel_residual"}) {
    EXPECT_THAT(ConfigError(Small("stablelm", {{key, true}})),
                HasSubstr(std::string("config.json: ") + key + " is true"));
    EXPECT_EQ(ConfigError(Small("stablelm", {{key, false}})), "");
  }
}

TEST(Cohere2Config, EveryFourthLayerHasNeitherWindowNorRope) {
  const ModelConfig config = ReadConfig(Small("cohere2", {{"sliding_window", 8}}));
  ASSERT_EQ(config.layers.size(), 4U);
  for (size_t l = 0; l < 4; ++l) {
    ASSERT_EQ(config.layers[l].sublayers.size(), 1U);
    EXPECT_EQ(config.layers[l].sublayers[0].branches.size(), 2U);
    EXPECT_EQ(AttentionSpecOf(config, l).window, l == 3 ? 0 : 8);
    EXPECT_EQ(AttentionSpecOf(config, l).rope, l == 3 ? -1 : 0);
  }
  EXPECT_EQ(config.logit_multiplier, 0.0625F);
  EXPECT_EQ(ReadConfig(Small("cohere2", {{"logit_scale", 0.5}})).logit_multiplier, 0.5F);
  EXPECT_TRUE(config.layer_norm && config.rope_interleaved);
  EXPECT_FALSE(config.norm_bias);
  EXPECT_EQ(
      AttentionSpecOf(ReadConfig(Small("cohere2", {{"sliding_window_pattern", 2}})), 1).window, 0);
  const Json types = {"full_attention", "sliding_attention", "full_attention", "full_attention"};
  EXPECT_EQ(AttentionSpecOf(ReadConfig(Small("cohere2", {{"layer_types", types}})), 1).window,
            4096);
}

TEST(Cohere2Config, RefusesWhatCannotBe) {
  EXPECT_THAT(ConfigError(Small("cohere2", {{"sliding_window", nullptr}})),
              HasSubstr("sliding_window is null"));
  EXPECT_THAT(ConfigError(Small("cohere2", {{"logit_scale", 0.0}})), HasSubstr("logit_scale"));
  EXPECT_THAT(ConfigError(Small("cohere2", {{"logit_scale", nullptr}})),
              HasSubstr("logit_scale is null"));
}

TEST(ArceeConfig, ActivationsWithoutAGate) {
  const ModelConfig config = ReadConfig(Small("arcee"));
  const auto& mlp = std::get<MlpSpec>(config.layers[0].sublayers[1].branches[0]);
  EXPECT_EQ(mlp.activation, Activation::kSquaredRelu);
  EXPECT_FALSE(mlp.names.gated);
  EXPECT_THAT(
      ConfigError(Small("arcee", {{"hidden_act", "silu"}})),
      HasSubstr("'silu' is not supported without a gate, only gelu_pytorch_tanh and relu2"));
  EXPECT_THAT(ConfigError(Small("starcoder2", {{"hidden_act", "gelu"}})),
              HasSubstr("'gelu' is not"));
  EXPECT_THAT(ConfigError(Small("llama", {{"hidden_act", "relu2"}})), HasSubstr("'relu2' is not"));
}

// As they are on the hub.
TEST(NormsConfig, PublishedFilesHaveNoUnknownKeys) {
  EXPECT_THAT(ReadConfig(Small("cohere2", {{"cache_implementation", "hybrid"},
                                           {"layer_norm_eps", 1e-5},
                                           {"layer_switch", 4},
                                           {"logit_scale", 0.25},
                                           {"order_of_interleaved_layers", "local_attn_first"},
                                           {"position_embedding_type", "rope_gptj"},
                                           {"rotary_pct", 1.0},
                                           {"sliding_window", 4096},
                                           {"sliding_window_pattern", 4},
                                           {"use_embedding_sharing", true},
                                           {"use_gated_activation", true},
                                           {"use_parallel_block", true},
                                           {"use_parallel_embedding", false},
                                           {"use_qk_norm", false}}))
                  .notes,
              ElementsAre());
  EXPECT_THAT(ReadConfig(Small("starcoder2", {{"hidden_act", "gelu_pytorch_tanh"},
                                              {"norm_epsilon", 1e-5},
                                              {"norm_type", "layer_norm"},
                                              {"mlp_type", "default"},
                                              {"sliding_window", 4096},
                                              {"use_bias", true}}))
                  .notes,
              ElementsAre());
  EXPECT_THAT(ReadConfig(Small("stablelm", {{"layer_norm_eps", 1e-5},
                                            {"partial_rotary_factor", 0.25},
                                            {"qk_layernorm", false},
                                            {"use_parallel_residual", false},
                                            {"use_qkv_bias", true}}))
                  .notes,
              ElementsAre());
  EXPECT_THAT(
      ReadConfig(Small("glm4", {{"partial_rotary_factor", 0.5}, {"attention_bias", true}})).notes,
      ElementsAre());
  EXPECT_THAT(ReadConfig(Small("ernie4_5", {{"use_bias", false}, {"rope_scaling", nullptr}})).notes,
              ElementsAre());
  EXPECT_THAT(
      ReadConfig(Small("llama", {{"use_parallel_block", true}, {"norm_epsilon", 1e-5}})).notes,
      ElementsAre(HasSubstr("norm_epsilon, use_parallel_block")));
}

}  // namespace
}  // namespace lorikeet
