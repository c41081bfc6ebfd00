#include "model/config.h"

#include <gmock/gmock.h>

#include <tuple>

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
    rotated.push_back(std::get<AttentionSpec>(layer.sublayers[0].branches[0]).rope >= 0);
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

// A config of `type` with 4 heads of 16 dimensions and only what no class has a default for.
Json Small(const std::string& type, Json changes = Json::object()) {
  Json config = {{"model_type", type}, {"hidden_size", 64},         {"intermediate_size", 96},
                 {"vocab_size", 96},   {"num_attention_heads", 32}, {"num_hidden_layers", 3}};
  config.update(changes);
  return config;
}

ModelConfig Read(const Json& json) { return ReadModelConfig(json, "config.json"); }

std::vector<int64_t> Windows(const Json& json) {
  std::vector<int64_t> windows;
  for (const LayerSpec& layer : Read(json).layers) {
    windows.push_back(std::get<AttentionSpec>(layer.sublayers[0].branches[0]).window);
  }
  return windows;
}

// The numbers are those of the classes of transformers 5.23, told by
// AutoConfig.from_pretrained(config).
TEST(FamilyDefaults, AreThoseOfItsConfigurationClass) {
  struct Row {
    const char* type;
    int64_t kv_heads, head_dim, length;
    double eps, theta;
    bool tied;
  };
  for (const Row& row : {Row{"llama", 32, 2, 2048, 1e-6, 1e4, false},
                         {"mistral", 8, 2, 131072, 1e-6, 1e4, false},
                         {"ministral", 8, 2, 131072, 1e-6, 1e4, false},
                         {"qwen2", 32, 2, 32768, 1e-6, 1e4, false},
                         {"qwen3", 32, 128, 32768, 1e-6, 1e4, false},
                         {"qwen3_moe", 4, 2, 32768, 1e-6, 1e4, false},
                         {"mixtral", 8, 2, 131072, 1e-5, 1e6, false},
                         {"smollm3", 4, 2, 32768, 1e-6, 2e6, true},
                         {"gemma", 16, 256, 8192, 1e-6, 1e4, true},
                         {"gemma2", 4, 256, 8192, 1e-6, 1e4, true},
                         {"gemma3_text", 4, 256, 131072, 1e-6, 1e6, true},
                         {"ministral3", 8, 128, 262144, 1e-5, 1e6, false},
                         {"qwen2_moe", 16, 2, 32768, 1e-6, 1e4, false},
                         {"olmoe", 32, 2, 4096, 1e-5, 1e4, false},
                         {"olmo2", 32, 2, 2048, 1e-5, 1e4, false},
                         {"olmo3", 32, 2, 2048, 1e-5, 5e5, false},
                         {"granite", 32, 2, 2048, 1e-6, 1e4, false},
                         {"hunyuan_v1_dense", 32, 2, 2048, 1e-5, 1e4, false},
                         {"seed_oss", 8, 128, 524288, 1e-6, 1e4, false},
                         {"exaone4", 32, 2, 2048, 1e-5, 1e4, false},
                         {"phi3", 32, 2, 4096, 1e-5, 1e4, false},
                         {"ernie4_5", 2, 128, 131072, 1e-5, 5e5, true},
                         {"glm4", 2, 128, 131072, 1.5625e-7, 1e4, false},
                         {"starcoder2", 2, 2, 4096, 1e-5, 1e4, true},
                         {"stablelm", 32, 2, 4096, 1e-5, 1e4, false},
                         {"cohere2", 32, 2, 8192, 1e-5, 1e4, true},
                         {"arcee", 32, 2, 4096, 1e-5, 1e4, false}}) {
    const Json whole = {{"partial_rotary_factor", 1.0}};  // a part of these heads is too small
    const ModelConfig c = Read(Small(row.type, whole));
    EXPECT_EQ(c.num_key_value_heads, row.kv_heads) << row.type;
    EXPECT_EQ(c.head_dim, row.head_dim) << row.type;
    EXPECT_EQ(c.max_position_embeddings, row.length) << row.type;
    EXPECT_EQ(c.rms_norm_eps, static_cast<float>(row.eps)) << row.type;
    EXPECT_EQ(c.rope_theta, row.theta) << row.type;
    EXPECT_EQ(c.tie_word_embeddings, row.tied) << row.type;
    EXPECT_EQ(c.o_bias || c.mlp_bias, row.type == std::string("starcoder2")) << row.type;
  }
  EXPECT_EQ(SupportedModelTypes().size(), 28U);  // a new family has a row above
  const ModelConfig hybrid = Read(Small("granitemoehybrid", {{"num_local_experts", 0},
                                                             {"layer_types", Json(3, "attention")},
                                                             {"shared_intermediate_size", 48}}));
  EXPECT_THAT(std::tuple(hybrid.num_key_value_heads, hybrid.max_position_embeddings),
              std::tuple(32, 2048));
  EXPECT_THAT(std::tuple(hybrid.rms_norm_eps, hybrid.rope_theta), std::tuple(1e-6F, 1e4));
  const ModelConfig mixtral = Read(Small("mixtral")), qwen = Read(Small("qwen3_moe"));
  EXPECT_THAT(std::tuple(mixtral.num_experts, mixtral.num_experts_per_tok), std::tuple(8, 2));
  EXPECT_EQ(mixtral.moe_intermediate_size, 96);
  EXPECT_THAT(std::tuple(qwen.num_experts, qwen.num_experts_per_tok), std::tuple(128, 8));
  EXPECT_EQ(qwen.moe_intermediate_size, 768);
  EXPECT_FALSE(qwen.norm_topk_prob);
}

TEST(FamilyDefaults, NullMayMeanAnotherValueThanAMissingKey) {
  EXPECT_EQ(Read(Small("qwen2", {{"num_key_value_heads", nullptr}})).num_key_value_heads, 32);
  EXPECT_EQ(Read(Small("smollm3", {{"num_key_value_heads", nullptr}})).num_key_value_heads, 32);
  EXPECT_EQ(Read(Small("mistral", {{"head_dim", nullptr}})).head_dim, 2);
  EXPECT_THAT(Windows(Small("mistral")), ElementsAre(4096, 4096, 4096));
  EXPECT_THAT(Windows(Small("mistral", {{"sliding_window", nullptr}})), ElementsAre(0, 0, 0));
  EXPECT_THAT(Windows(Small("qwen2", {{"layer_types", nullptr}})), ElementsAre(0, 0, 0));
  EXPECT_TRUE(Read(Small("qwen3_moe", {{"mlp_only_layers", nullptr}})).mlp_only_layers.empty());
  EXPECT_EQ(Read(Small("mixtral", {{"rope_scaling", nullptr}})).rope_theta, 1e6);
}

TEST(Windows, FollowTheFamilysRule) {
  EXPECT_THAT(Windows(Small("mistral", {{"sliding_window", 8}})), ElementsAre(8, 8, 8));
  EXPECT_THAT(Windows(Small("mixtral")), ElementsAre(0, 0, 0));
  EXPECT_THAT(Windows(Small("mixtral", {{"sliding_window", 8}})), ElementsAre(8, 8, 8));
  EXPECT_THAT(Windows(Small("llama", {{"sliding_window", 8}})), ElementsAre(0, 0, 0));
  for (const char* type : {"qwen2", "qwen3"}) {
    Json config = Small(type, {{"sliding_window", 8}, {"max_window_layers", 1}});
    EXPECT_THAT(Windows(config), ElementsAre(0, 0, 0));
    config["use_sliding_window"] = true;
    EXPECT_THAT(Windows(config), ElementsAre(0, 8, 8));
    config.erase("max_window_layers");  // 28 by default
    EXPECT_THAT(Windows(config), ElementsAre(0, 0, 0));
  }
  EXPECT_THAT(Windows(Small("qwen3_moe", {{"use_sliding_window", true}, {"max_window_layers", 2}})),
              ElementsAre(4096, 4096, 4096));
  EXPECT_THAT(Windows(Small("smollm3", {{"use_sliding_window", true},
                                        {"sliding_window", 8},
                                        {"no_rope_layers", {1, 0, 1}}})),
              ElementsAre(0, 8, 0));
  // The context is as long as it is.
  EXPECT_EQ(Read(Small("mistral", {{"sliding_window", 8}, {"max_position_embeddings", 512}}))
                .max_position_embeddings,
            512);
}

TEST(Windows, FollowLayerTypesWhereTheFamilyReadsThem) {
  const Json types = {"sliding_attention", "full_attention", "attention"};
  EXPECT_THAT(Windows(Small("mistral", {{"sliding_window", 8}, {"layer_types", types}})),
              ElementsAre(8, 0, 0));
  EXPECT_THAT(Windows(Small("ministral", {{"sliding_window", 8}, {"layer_types", types}})),
              ElementsAre(8, 0, 0));
  const Json used = {{"use_sliding_window", true}, {"sliding_window", 8}, {"layer_types", types}};
  EXPECT_THAT(Windows(Small("qwen2", used)), ElementsAre(8, 0, 0));
  EXPECT_THAT(Windows(Small("qwen3_moe", used)), ElementsAre(8, 8, 8));  // which does not
}

TEST(Windows, RefuseWhatCannotBe) {
  const auto with_types = [](const Json& types, const Json& window) {
    return ErrorOf(Small("mistral", {{"sliding_window", window}, {"layer_types", types}}));
  };
  EXPECT_THAT(with_types({"full_attention"}, 8), HasSubstr("layer_types has 1 entries for 3"));
  EXPECT_THAT(with_types({"sliding_attention", "conv", "conv"}, 8),
              HasSubstr("layer type 'conv' is not supported"));
  EXPECT_THAT(with_types(Json(3, "sliding_attention"), nullptr), HasSubstr("no window"));
  EXPECT_THAT(ErrorOf(Small("mistral", {{"sliding_window", 0}})), HasSubstr("'sliding_window'"));
}

Json Yarn(Json changes) {
  Json rope = {{"rope_type", "yarn"}, {"factor", 4.0}};
  rope.update(changes);
  return rope;
}

TEST(Rope, ScalingGoesBeforeParameters) {
  const Json saved = {{"rope_type", "default"}, {"rope_theta", 1e4}};
  const ModelConfig c = Read(Small("llama", {{"rope_parameters", saved},
                                             {"rope_scaling", Yarn(Json::object())},
                                             {"max_position_embeddings", 512}}));
  EXPECT_EQ(c.rope_scaling.type, "yarn");
  EXPECT_EQ(c.rope_scaling.original_max_position_embeddings, 512);
  EXPECT_THAT(c.notes, ElementsAre(HasSubstr("rope_scaling is used")));
  // An empty one is none.
  const ModelConfig newer = Read(Small(
      "llama", {{"rope_parameters", Yarn(Json::object())}, {"rope_scaling", Json::object()}}));
  EXPECT_EQ(newer.rope_scaling.type, "yarn");
  EXPECT_THAT(newer.notes, ElementsAre());
}

// transformers would fall back to the class's theta, which is hardly intended.
TEST(Rope, AThetaThatWouldBeDroppedIsRefused) {
  const Json saved = {{"rope_type", "default"}, {"rope_theta", 1e6}};
  EXPECT_THAT(
      ErrorOf(Small("qwen3", {{"rope_parameters", saved}, {"rope_scaling", Yarn(Json::object())}})),
      HasSubstr("rope_theta would be 10000 instead of 1e+06"));
  const Json own = Yarn({{"rope_theta", 1e6}});
  EXPECT_EQ(Read(Small("qwen3", {{"rope_parameters", saved}, {"rope_scaling", own}})).rope_theta,
            1e6);
}

TEST(Rope, TheOriginalLengthOfTheTopLevelWins) {
  const Json llama3 = {{"rope_type", "llama3"},
                       {"factor", 8.0},
                       {"low_freq_factor", 1.0},
                       {"high_freq_factor", 4.0},
                       {"original_max_position_embeddings", 32}};
  for (const Json& rope : {Yarn({{"original_max_position_embeddings", 32}}), llama3}) {
    EXPECT_EQ(Read(Small("llama", {{"rope_scaling", rope}}))
                  .rope_scaling.original_max_position_embeddings,
              32);
    EXPECT_EQ(
        Read(Small("llama", {{"rope_scaling", rope}, {"original_max_position_embeddings", 64}}))
            .rope_scaling.original_max_position_embeddings,
        64);
  }
}

TEST(Rope, ANullFactorOfYarnIsTheRatioOfTheLengths) {
  const ModelConfig c = Read(
      Small("llama", {{"max_position_embeddings", 512},
                      {"rope_parameters",
                       Yarn({{"factor", nullptr}, {"original_max_position_embeddings", 128}})}}));
  EXPECT_EQ(c.rope_scaling.factor, 4);
}

TEST(Rope, NullsOfTheBlock) {
  const RopeScaling scaling =
      Read(Small("llama", {{"rope_scaling", Yarn({{"beta_fast", nullptr},
                                                  {"beta_slow", 0},
                                                  {"attention_factor", nullptr},
                                                  {"mscale", nullptr},
                                                  {"truncate", nullptr}})}}))
          .rope_scaling;
  EXPECT_EQ(scaling.beta_fast, 32);
  EXPECT_EQ(scaling.beta_slow, 1);
  EXPECT_FALSE(scaling.attention_factor || scaling.mscale);
  EXPECT_FALSE(scaling.truncate);  // transformers takes null for false
}

TEST(Rope, KindsThatAreNotComputedAreRefused) {
  const auto error = [](const Json& rope) {
    return ErrorOf(Small("llama", {{"rope_scaling", rope}}));
  };
  for (const char* type : {"dynamic", "longrope", "proportional", "mrope"}) {
    EXPECT_THAT(error({{"rope_type", type}, {"factor", 2.0}}),
                HasSubstr(std::string("rope type '") + type + "' is not supported"));
  }
  EXPECT_THAT(error({{"type", "linear"}}), HasSubstr("'factor' must be a number, got nothing"));
  EXPECT_THAT(error({{"rope_type", "llama3"}, {"factor", 8.0}}), HasSubstr("low_freq_factor"));
  EXPECT_THAT(error({{"rope_type", "linear"}, {"factor", -1.0}}),
              HasSubstr("factor must be a positive number"));
  EXPECT_THAT(error({{"full_attention", {{"rope_type", "default"}}}}),
              HasSubstr("a rope of its own for 'full_attention' is not supported"));
  EXPECT_THAT(error({{"rope_type", "default"}, {"partial_rotary_factor", 0.5}}),
              HasSubstr("partial_rotary_factor is not supported"));
  EXPECT_THAT(ErrorOf(Small("llama", {{"partial_rotary_factor", 0.5}})),
              HasSubstr("partial_rotary_factor is not supported"));
}

TEST(Refusals, NameTheKey) {
  EXPECT_THAT(ErrorOf(Small("qwen2", {{"is_causal", false}})), HasSubstr("is_causal is false"));
  EXPECT_THAT(ErrorOf(Small("qwen2", {{"is_causal", nullptr}})), HasSubstr("is_causal is null"));
  EXPECT_EQ(ErrorOf(Small("qwen2", {{"is_causal", true}})), "");
  EXPECT_THAT(ErrorOf(Small("llama", {{"per_layer_config", {{"0", {{"head_dim", 4}}}}}})),
              HasSubstr("per_layer_config"));
  EXPECT_THAT(ErrorOf(Small("llama", {{"quantization", {{"bits", 4}}}})),
              HasSubstr("quantization (of mlx)"));
  EXPECT_THAT(ErrorOf(Small("mixtral", {{"num_experts", 4}, {"num_local_experts", 8}})),
              HasSubstr("num_experts is 4, but num_local_experts 8"));
}

TEST(Refusals, ADefaultIsCalledSo) {
  EXPECT_THAT(ErrorOf(Small("qwen2", {{"num_attention_heads", 4}})),
              HasSubstr("num_attention_heads 4 is not a multiple of num_key_value_heads 32, the "
                        "default of this model_type"));
}

TEST(Refusals, AWrapperNamesItsLanguageModel) {
  const Json text = {{"model_type", "qwen3_5_text"}};
  EXPECT_THAT(
      ErrorOf(
          {{"model_type", "qwen3_5"}, {"text_config", text}, {"vision_config", {{"depth", 27}}}}),
      HasSubstr("model_type 'qwen3_5' (around 'qwen3_5_text', with vision_config) is not "
                "supported; supported: llama, mistral"));
}

std::vector<std::string> Notes(const std::string& type, const Json& changes) {
  return Read(Small(type, changes)).notes;
}

TEST(UnknownKeys, AreNamedInOneLine) {
  EXPECT_THAT(Notes("llama", {{"residual_scale", 0.5}, {"clip_qkv", 8.0}, {"mup", nullptr}}),
              ElementsAre("config.json: keys of config.json that are not used for llama: "
                          "clip_qkv, residual_scale"));
  EXPECT_THAT(Notes("llama", {{"rope_scaling", Yarn({{"mrope_section", {8, 8}}})}}),
              ElementsAre(HasSubstr("not used for llama: rope_scaling.mrope_section")));
}

TEST(UnknownKeys, OfAnotherFamilyAreNamedUnlessTheyChangeNothing) {
  // Mistral's class has no such switch: the window is there all the same.
  EXPECT_THAT(Notes("mistral", {{"sliding_window", 8}, {"use_sliding_window", false}}),
              ElementsAre(HasSubstr("not used for mistral: use_sliding_window")));
  EXPECT_THAT(Notes("mistral", {{"sliding_window", nullptr}, {"use_sliding_window", false}}),
              ElementsAre());
  EXPECT_THAT(Notes("llama", {{"sliding_window", 8}}),
              ElementsAre(HasSubstr("not used for llama: sliding_window")));
  EXPECT_THAT(Notes("llama", {{"sliding_window", 8}, {"use_sliding_window", false}}),
              ElementsAre());
  EXPECT_THAT(Notes("llama", {{"layer_types", Json(3, "full_attention")}}), ElementsAre());
  EXPECT_THAT(Notes("llama", {{"layer_types", Json(3, "sliding_attention")}}),
              ElementsAre(HasSubstr("layer_types")));
  EXPECT_THAT(Notes("mistral", {{"attention_bias", true}, {"mlp_bias", false}}),
              ElementsAre(HasSubstr("not used for mistral: attention_bias")));
  EXPECT_THAT(Notes("llama", {{"attention_dropout", 0.1}}),
              ElementsAre(HasSubstr("attention_dropout")));
  EXPECT_THAT(Notes("mixtral", {{"output_router_logits", true}, {"router_jitter_noise", 0.0}}),
              ElementsAre(HasSubstr("not used for mixtral: output_router_logits")));
  EXPECT_THAT(Notes("llama", {{"num_experts", 4}}), ElementsAre(HasSubstr("num_experts")));
}

// Keys of published files, as they are on the hub.
TEST(UnknownKeys, PublishedFilesHaveNone) {
  const Json common = {{"_name_or_path", "x"},
                       {"architectures", {"X"}},
                       {"attention_dropout", 0.0},
                       {"bos_token_id", 1},
                       {"eos_token_id", {1, 2}},
                       {"hidden_act", "silu"},
                       {"initializer_range", 0.02},
                       {"max_position_embeddings", 512},
                       {"rms_norm_eps", 1e-5},
                       {"rope_theta", 1e6},
                       {"tie_word_embeddings", false},
                       {"torch_dtype", "bfloat16"},
                       {"transformers_version", "4.46.1"},
                       {"use_cache", true}};
  const auto notes = [&](const char* type, Json more) {
    more.update(common);
    return Notes(type, more);
  };
  EXPECT_THAT(
      notes("llama", {{"attention_bias", false}, {"mlp_bias", false}, {"pretraining_tp", 1}}),
      ElementsAre());
  EXPECT_THAT(notes("llama", {{"is_llama_config", true},
                              {"rope_interleaved", false},
                              {"transformers.js_config", {{"dtype", "q4"}}}}),
              ElementsAre());
  EXPECT_THAT(notes("qwen2", {{"use_mrope", false},
                              {"use_sliding_window", false},
                              {"sliding_window", 131072},
                              {"max_window_layers", 28}}),
              ElementsAre());
  EXPECT_THAT(notes("qwen3_moe", {{"decoder_sparse_step", 1},
                                  {"max_window_layers", 48},
                                  {"mlp_only_layers", Json::array()},
                                  {"norm_topk_prob", true},
                                  {"output_router_logits", false},
                                  {"router_aux_loss_coef", 0.001},
                                  {"sliding_window", nullptr},
                                  {"use_sliding_window", false}}),
              ElementsAre());
  EXPECT_THAT(notes("mistral", {{"sliding_window", 4096}}), ElementsAre());
  EXPECT_THAT(notes("mixtral", {{"num_local_experts", 8},
                                {"output_router_logits", false},
                                {"router_aux_loss_coef", 0.02},
                                {"sliding_window", nullptr}}),
              ElementsAre());
  EXPECT_THAT(notes("smollm3", {{"max_window_layers", 28},
                                {"no_rope_layer_interval", 4},
                                {"pretraining_tp", 2},
                                {"sliding_window", nullptr},
                                {"use_sliding_window", false}}),
              ElementsAre());
}

}  // namespace
}  // namespace lorikeet
