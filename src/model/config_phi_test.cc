// Tests of config.json of Phi-3: fused projections, longrope, partial rotation.
#include <gmock/gmock.h>

#include "model/config_for_test.h"

namespace lorikeet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Heads of 16, of which partial_rotary_factor .75 rotates 12.
Json Phi(Json changes = Json::object()) {
  Json config = {{"model_type", "phi3"},     {"hidden_size", 64},      {"intermediate_size", 80},
                 {"vocab_size", 96},         {"num_hidden_layers", 2}, {"num_attention_heads", 4},
                 {"num_key_value_heads", 2}, {"sliding_window", 8}};
  config.update(changes);
  return config;
}

Json Longrope(Json changes = Json::object()) {
  Json rope = {{"type", "longrope"}, {"short_factor", Json(8, 1.5)}, {"long_factor", Json(8, 4.0)}};
  rope.update(changes);
  return rope;
}

TEST(Phi3Config, ProjectionsShareMatricesAndAllLayersHaveTheWindow) {
  const ModelConfig config = ReadConfig(Phi());
  ASSERT_EQ(config.layers.size(), 2U);
  const auto& attention = std::get<AttentionSpec>(config.layers[1].sublayers[0].branches[0]);
  EXPECT_TRUE(attention.fused_qkv);
  EXPECT_EQ(attention.window, 8);
  const auto& mlp = std::get<MlpSpec>(config.layers[1].sublayers[1].branches[0]);
  EXPECT_TRUE(mlp.fused());
  EXPECT_STREQ(mlp.names.up, "gate_up_proj");
  EXPECT_EQ(ReadConfig(Phi({{"sliding_window", nullptr}})).window(0), 0);
}

TEST(Phi3Config, LongropeHasTheShortListUpToTheOriginalLength) {
  const Json lengths = {{"max_position_embeddings", 1024},
                        {"original_max_position_embeddings", 128},
                        {"rope_scaling", Longrope()}};
  const ModelConfig config = ReadConfig(Phi(lengths));
  EXPECT_EQ(config.rope_scaling.type, "longrope");
  EXPECT_EQ(config.rope_scaling.short_factor, std::vector<double>(8, 1.5));
  EXPECT_EQ(config.rope_scaling.factor, 8);
  EXPECT_EQ(config.rope_scaling.original_max_position_embeddings, 128);
  EXPECT_EQ(config.max_position_embeddings, 128);  // longer sequences are refused
  EXPECT_THAT(config.notes, ElementsAre());
  // Its older names, and a factor of its own.
  for (const char* type : {"su", "yarn"}) {
    EXPECT_EQ(ReadConfig(Phi({{"rope_scaling", Longrope({{"type", type}})}})).rope_scaling.type,
              "longrope");
  }
  EXPECT_EQ(ReadConfig(Phi({{"rope_parameters", Longrope({{"factor", 3.0}})}})).rope_scaling.factor,
            3);
}

// The class has a default, which goes before the key of the block.
TEST(Phi3Config, TheOriginalLengthIsThatOfTheTopLevelOr4096) {
  const Json rope = Longrope({{"original_max_position_embeddings", 64}});
  const Json long_context = {{"max_position_embeddings", 131072}, {"rope_scaling", rope}};
  EXPECT_EQ(ReadConfig(Phi(long_context)).rope_scaling.original_max_position_embeddings, 4096);
}

TEST(Phi3Config, APartOfAHeadIsRotated) {
  EXPECT_EQ(ReadConfig(Phi()).rotary_dim, 16);
  EXPECT_EQ(ReadConfig(Phi({{"partial_rotary_factor", 0.75}})).rotary_dim, 12);
  const Json block = {{"rope_type", "default"}, {"partial_rotary_factor", 0.5}};
  EXPECT_EQ(ReadConfig(Phi({{"rope_parameters", block}})).rotary_dim, 8);
  EXPECT_EQ(
      ReadConfig(Phi({{"rope_parameters", block}, {"partial_rotary_factor", 0.75}})).rotary_dim, 8);
  EXPECT_EQ(ReadConfig(Phi({{"partial_rotary_factor", 0.75},
                            {"rope_scaling", Longrope({{"short_factor", Json(6, 1.0)},
                                                       {"long_factor", Json(6, 1.0)}})}}))
                .rotary_dim,
            12);
}

TEST(Phi3Config, RefusesWhatCannotBe) {
  EXPECT_THAT(ConfigError(Phi({{"rope_scaling", {{"type", "linear"}, {"factor", 2.0}}}})),
              HasSubstr("rope type 'linear' is not supported; supported: default, longrope"));
  EXPECT_THAT(ConfigError(Phi({{"rope_scaling", Longrope({{"short_factor", Json(7, 1.0)}})}})),
              HasSubstr("short_factor has 7 entries for 8 pairs"));
  EXPECT_THAT(ConfigError(Phi({{"rope_scaling", Longrope({{"long_factor", Json(6, 1.0)}})}})),
              HasSubstr("long_factor has 6 entries for 8 pairs"));
  EXPECT_THAT(ConfigError(Phi({{"rope_scaling", Longrope({{"short_factor", Json(8, 0.0)}})}})),
              HasSubstr("short_factor must be a positive number"));
  EXPECT_THAT(ConfigError(Phi({{"rope_scaling", {{"type", "longrope"}}}})),
              HasSubstr("long_factor"));
  EXPECT_THAT(ConfigError(Phi({{"partial_rotary_factor", 1.5}})),
              HasSubstr("partial_rotary_factor 1.5"));
  EXPECT_THAT(ConfigError(Phi({{"partial_rotary_factor", 0.2}})), HasSubstr("even and positive"));
}

// As they are on the hub: Phi-3-mini-128k, Phi-4-mini.
TEST(Phi3Config, PublishedFilesHaveNoUnknownKeys) {
  EXPECT_THAT(ReadConfig(Phi({{"embd_pdrop", 0.0},
                              {"resid_pdrop", 0.0},
                              {"attention_bias", false},
                              {"attention_dropout", 0.0},
                              {"original_max_position_embeddings", 4096},
                              {"rope_scaling", Longrope()},
                              {"full_attn_mod", 1},
                              {"interpolate_factor", 1},
                              {"lm_head_bias", false},
                              {"mlp_bias", false},
                              {"partial_rotary_factor", 1.0},
                              {"auto_map", {{"AutoConfig", "x"}}}}))
                  .notes,
              ElementsAre());
}

}  // namespace
}  // namespace lorikeet
