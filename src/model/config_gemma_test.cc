// Tests of config.json of the Gemma families: ropes per layer type, windows, caps and scales.
#include <gmock/gmock.h>

#include <cmath>

#include "model/config_for_test.h"

namespace lorikeet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Json Gemma(const char* type, const Json& changes = Json::object()) {
  return TinyConfig(type, 7, changes);
}

TEST(Gemma3Config, EverySixthLayerSeesAllKeysAndHasTheGlobalRope) {
  EXPECT_THAT(WindowsOf(ReadConfig(Gemma("gemma3_text", {{"sliding_window", 8}}))),
              ElementsAre(8, 8, 8, 8, 8, 0, 8));
  EXPECT_THAT(WindowsOf(ReadConfig(
                  Gemma("gemma3_text", {{"sliding_window", 8}, {"sliding_window_pattern", 2}}))),
              ElementsAre(8, 0, 8, 0, 8, 0, 8));
  EXPECT_THAT(WindowsOf(ReadConfig(Gemma("gemma3_text"))),
              ElementsAre(4096, 4096, 4096, 4096, 4096, 0, 4096));
  const ModelConfig config = ReadConfig(Gemma("gemma3_text"));
  EXPECT_EQ(AttentionSpecOf(config, 0).rope, 1);
  EXPECT_EQ(AttentionSpecOf(config, 5).rope, 0);
  EXPECT_EQ(config.rope_theta, 1e6);
  EXPECT_EQ(config.rope_local_base_freq, 1e4);
}

TEST(Gemma3Config, RopesOfBothSpellings) {
  const Json linear = {{"rope_type", "linear"}, {"factor", 8.0}};
  const ModelConfig old = ReadConfig(
      Gemma("gemma3_text",
            {{"rope_theta", 5e5}, {"rope_local_base_freq", 2e4}, {"rope_scaling", linear}}));
  EXPECT_EQ(old.rope_theta, 5e5);
  EXPECT_EQ(old.rope_scaling.type, "linear");
  EXPECT_EQ(old.rope_local_base_freq, 2e4);
  EXPECT_EQ(old.local_rope_scaling.type, "default");
  EXPECT_THAT(old.notes, ElementsAre());
  const Json blocks = {
      {"full_attention", {{"rope_type", "linear"}, {"factor", 8.0}, {"rope_theta", 5e5}}},
      {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 2e4}}}};
  const ModelConfig now = ReadConfig(Gemma("gemma3_text", {{"rope_parameters", blocks}}));
  EXPECT_EQ(now.rope_theta, 5e5);
  EXPECT_EQ(now.rope_scaling.factor, 8);
  EXPECT_EQ(now.rope_local_base_freq, 2e4);
  EXPECT_THAT(now.notes, ElementsAre());
  // A block goes before the older key; rope_scaling adds to the block.
  const ModelConfig both = ReadConfig(Gemma(
      "gemma3_text",
      {{"rope_parameters", blocks}, {"rope_theta", 1.0}, {"rope_scaling", {{"factor", 4.0}}}}));
  EXPECT_EQ(both.rope_theta, 5e5);
  EXPECT_EQ(both.rope_scaling.factor, 4);
  EXPECT_THAT(ConfigError(Gemma("gemma3_text", {{"rope_parameters", {{"rope_theta", 1e6}}}})),
              HasSubstr("rope_theta is not a block of full_attention or sliding_attention"));
  EXPECT_THAT(
      ReadConfig(Gemma("gemma3_text", {{"rope_parameters", {{"full_attention", {{"beta", 1}}}}}}))
          .notes,
      ElementsAre(HasSubstr("rope_parameters.full_attention.beta")));
}

TEST(GemmaConfig, NormsScalesAndActivation) {
  for (const char* type : {"gemma", "gemma2", "gemma3_text"}) {
    const ModelConfig config = ReadConfig(Gemma(type));
    EXPECT_EQ(config.norm_kind, NormKind::kRmsOnePlus) << type;
    EXPECT_EQ(config.hidden_act, Activation::kGeluTanh) << type;
    EXPECT_EQ(config.embedding_multiplier, 8) << type;
    EXPECT_TRUE(config.rounds_embedding_multiplier) << type;
    EXPECT_TRUE(config.tie_word_embeddings) << type;
    EXPECT_EQ(config.layers[0].sublayers[0].norm_after.empty(), std::string(type) == "gemma");
  }
  EXPECT_EQ(AttentionSpecOf(ReadConfig(Gemma("gemma")), 0).score_scale, 0.25F);
  EXPECT_EQ(AttentionSpecOf(ReadConfig(Gemma("gemma2")), 0).score_scale, 0.0625F);
  EXPECT_EQ(AttentionSpecOf(ReadConfig(Gemma("gemma3_text", {{"query_pre_attn_scalar", 64}})), 0)
                .score_scale,
            0.125F);
  EXPECT_EQ(ReadConfig(Gemma("gemma", {{"hidden_act", "gelu"}})).hidden_act, Activation::kGeluTanh);
  EXPECT_THAT(ConfigError(Gemma("gemma2", {{"hidden_activation", "gelu"}})),
              HasSubstr("hidden_activation 'gelu' is not supported"));
}

// null is no cap, a missing key the class's default; the code of Gemma 3 does not cap scores.
TEST(GemmaConfig, Caps) {
  const ModelConfig second = ReadConfig(Gemma("gemma2"));
  EXPECT_EQ(AttentionSpecOf(second, 0).softcap, 50);
  EXPECT_EQ(second.final_logit_softcapping, 30);
  const ModelConfig none = ReadConfig(
      Gemma("gemma2", {{"attn_logit_softcapping", nullptr}, {"final_logit_softcapping", nullptr}}));
  EXPECT_EQ(AttentionSpecOf(none, 0).softcap, 0);
  EXPECT_EQ(none.final_logit_softcapping, 0);
  const ModelConfig third = ReadConfig(
      Gemma("gemma3_text", {{"attn_logit_softcapping", 50.0}, {"final_logit_softcapping", 30.0}}));
  EXPECT_EQ(AttentionSpecOf(third, 0).softcap, 0);
  EXPECT_EQ(third.final_logit_softcapping, 30);
  EXPECT_THAT(third.notes, ElementsAre(HasSubstr("attn_logit_softcapping")));
  EXPECT_THAT(ConfigError(Gemma("gemma2", {{"final_logit_softcapping", 0.0}})),
              HasSubstr("final_logit_softcapping is 0, not a positive number"));
}

TEST(GemmaConfig, RefusesModelsThatSeeLaterTokens) {
  EXPECT_THAT(ConfigError(Gemma("gemma3_text", {{"use_bidirectional_attention", true}})),
              HasSubstr("use_bidirectional_attention is true"));
}

// The keys of google/gemma-3-270m, and of older files of Gemma 2.
TEST(GemmaConfig, PublishedFilesHaveNoUnknownKeys) {
  EXPECT_THAT(ReadConfig(Gemma("gemma3_text", {{"_sliding_window_pattern", 6},
                                               {"attention_bias", false},
                                               {"attn_logit_softcapping", nullptr},
                                               {"final_logit_softcapping", nullptr},
                                               {"hidden_activation", "gelu_pytorch_tanh"},
                                               {"layer_types", Json(7, "full_attention")},
                                               {"query_pre_attn_scalar", 256},
                                               {"rope_local_base_freq", 10000.0},
                                               {"rope_scaling", nullptr},
                                               {"sliding_window", 512},
                                               {"use_bidirectional_attention", false}}))
                  .notes,
              ElementsAre());
  EXPECT_THAT(ReadConfig(Gemma("gemma2", {{"cache_implementation", "hybrid"},
                                          {"hidden_act", "gelu_pytorch_tanh"},
                                          {"hidden_activation", "gelu_pytorch_tanh"},
                                          {"sliding_window", 4096}}))
                  .notes,
              ElementsAre());
}

}  // namespace
}  // namespace lorikeet
