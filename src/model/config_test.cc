#include "model/config.h"

#include <gmock/gmock.h>

#include "core/error.h"

namespace lorikeet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Json SmolLM3(int64_t layers, Json changes = Json::object()) {
  Json config = {{"model_type", "smollm3"},  {"hidden_size", 32},
                 {"intermediate_size", 80},  {"vocab_size", 96},
                 {"num_attention_heads", 4}, {"num_key_value_heads", 2},
                 {"rms_norm_eps", 1e-6},     {"num_hidden_layers", layers}};
  config.update(changes);
  return config;
}

// Whether each layer's queries and keys are rotated.
std::vector<bool> Rotated(const Json& json) {
  std::vector<bool> rotated;
  for (const LayerSpec& layer : ReadModelConfig(json, "test").layers) {
    rotated.push_back(std::get<AttentionSpec>(layer.sublayers[0].branches[0]).rope);
  }
  return rotated;
}

std::string ErrorOf(const Json& json) {
  try {
    ReadModelConfig(json, "config.json");
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(RopeLayers, FollowTheListOrTheInterval) {
  EXPECT_THAT(Rotated(SmolLM3(5)), ElementsAre(true, true, true, false, true));
  EXPECT_THAT(Rotated(SmolLM3(3, {{"no_rope_layer_interval", 2}})), ElementsAre(true, false, true));
  EXPECT_THAT(Rotated(SmolLM3(2, {{"no_rope_layer_interval", 1}})), ElementsAre(false, false));
  // 0 is a layer without; the list wins.
  EXPECT_THAT(Rotated(SmolLM3(3, {{"no_rope_layers", {0, 1, 0}}, {"no_rope_layer_interval", 2}})),
              ElementsAre(false, true, false));
  EXPECT_THAT(Rotated(SmolLM3(4, {{"no_rope_layers", nullptr}})),
              ElementsAre(true, true, true, false));
}

TEST(RopeLayers, OtherFamiliesDoNotReadThem) {
  EXPECT_THAT(Rotated(SmolLM3(2, {{"model_type", "llama"}, {"no_rope_layers", {0, 0}}})),
              ElementsAre(true, true));
}

TEST(RopeLayers, RefusesWhatCannotBe) {
  EXPECT_THAT(ErrorOf(SmolLM3(3, {{"no_rope_layers", {1, 0}}})),
              HasSubstr("config.json: no_rope_layers has 2 entries for 3 layers"));
  EXPECT_THAT(ErrorOf(SmolLM3(1, {{"no_rope_layers", {1, 0}}})), HasSubstr("2 entries"));
  EXPECT_THAT(ErrorOf(SmolLM3(1, {{"no_rope_layers", "none"}})), HasSubstr("no_rope_layers"));
  EXPECT_THAT(ErrorOf(SmolLM3(1, {{"no_rope_layer_interval", 0}})),
              HasSubstr("no_rope_layer_interval"));
}

TEST(FamilyDefaults, AreThoseOfItsConfigurationClass) {
  const ModelConfig smollm3 = ReadModelConfig(SmolLM3(1), "test");
  EXPECT_TRUE(smollm3.tie_word_embeddings);
  EXPECT_EQ(smollm3.rope_theta, 2e6);
  const ModelConfig llama = ReadModelConfig(SmolLM3(1, {{"model_type", "llama"}}), "test");
  EXPECT_FALSE(llama.tie_word_embeddings);
  EXPECT_EQ(llama.rope_theta, 1e4);
}

}  // namespace
}  // namespace lorikeet
