#include "checkpoint/lora_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"

namespace lorikeet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(LoraConfigTest, Targets) {
  LoraConfig config;
  config.target_modules = {"q_proj", "mlp.up_proj", "lm_head"};
  EXPECT_TRUE(IsTarget(config, "model.layers.0.self_attn.q_proj"));
  EXPECT_TRUE(IsTarget(config, "model.layers.0.mlp.up_proj"));
  EXPECT_TRUE(IsTarget(config, "lm_head"));
  EXPECT_FALSE(IsTarget(config, "model.layers.0.self_attn.xq_proj"));
  EXPECT_FALSE(IsTarget(config, "proj"));
  config.target_regex = "all-linear";
  EXPECT_TRUE(IsTarget(config, "model.layers.0.mlp.gate_proj"));
  EXPECT_FALSE(IsTarget(config, "lm_head"));
}

TEST(LoraConfigTest, PatternsAreSuffixesAndRegexes) {
  LoraConfig config;
  config.r = 4;
  config.rank_pattern = {
      {"k_proj", 8}, {"layers.1.self_attn.q_proj", 9}, {"layers\\.[23]\\..*", 10}};
  EXPECT_EQ(RankOf(config, "model.layers.0.self_attn.k_proj"), 8);
  EXPECT_EQ(RankOf(config, "model.layers.2.self_attn.k_proj"), 8);  // the first that matches
  EXPECT_EQ(RankOf(config, "model.layers.0.self_attn.xk_proj"), 4);
  EXPECT_EQ(RankOf(config, "model.layers.1.self_attn.q_proj"), 9);
  EXPECT_EQ(RankOf(config, "model.layers.11.self_attn.q_proj"), 4);
  EXPECT_EQ(RankOf(config, "model.layers.3.mlp.up_proj"), 10);
  EXPECT_EQ(RankOf(config, "model.layers.4.mlp.up_proj"), 4);
}

LoraConfig Parse(const std::string& text) { return ParseLoraConfig(text, "c"); }

TEST(LoraConfigTest, ConfigDefaultsAreThoseOfPeft) {
  const LoraConfig config =
      Parse(R"({"peft_type":"LORA","target_modules":["v_proj","q_proj"],"task_type":null,)"
            R"("lora_alpha":16.5,"use_rslora":null,"rank_pattern":null,"future_key":false})");
  EXPECT_EQ(config.r, 8);
  EXPECT_EQ(config.lora_alpha, 16.5F);
  EXPECT_FALSE(config.use_rslora);
  EXPECT_THAT(config.target_modules, ElementsAre("q_proj", "v_proj"));
}

TEST(LoraConfigTest, ConfigErrorsNameTheKey) {
  const auto error = [](const std::string& pairs) -> std::string {
    try {
      Parse("{\"peft_type\":\"LORA\",\"target_modules\":[\"q\"]," + pairs + "}");
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_EQ(error(R"("r":4)"), "");
  for (const char* bad :
       {"0", "-1", "1e3", "70000", "\"8\"", "null", "[8]", "99999999999999999999"}) {
    EXPECT_THAT(error(std::string("\"r\":") + bad), HasSubstr("c: 'r' must be")) << bad;
  }
  EXPECT_THAT(error(R"("lora_alpha":"x")"), HasSubstr("'lora_alpha'"));
  EXPECT_THAT(error(R"("lora_alpha":1e300)"), HasSubstr("'lora_alpha'"));
  EXPECT_THAT(error(R"("lora_dropout":1)"), HasSubstr("'lora_dropout'"));
  EXPECT_THAT(error(R"("use_rslora":1)"), HasSubstr("'use_rslora'"));
  EXPECT_THAT(error(R"("rank_pattern":[1])"), HasSubstr("c: 'rank_pattern' must be an object"));
  EXPECT_THAT(error(R"("rank_pattern":{"q":0})"),
              HasSubstr("c: rank_pattern: 'q' must be an integer of 1 to 65536, got 0"));
  EXPECT_THAT(error(R"("alpha_pattern":{"q":null})"), HasSubstr("c: alpha_pattern: 'q' must be"));
  EXPECT_THAT(error(R"("target_modules":[1])"), HasSubstr("'target_modules'"));
  EXPECT_THAT(error(R"("target_modules":7)"), HasSubstr("'target_modules'"));
  EXPECT_THAT(error(R"("peft_type":"LOHA")"), HasSubstr("'peft_type'"));
  EXPECT_THAT(error(R"("bias":"all")"), HasSubstr("'bias'"));
  EXPECT_THAT(error(R"("init_lora_weights":"pissa_niter_4")"), HasSubstr("'init_lora_weights'"));
  for (const char* key :
       {"use_dora", "lora_bias", "modules_to_save", "layer_replication", "exclude_modules",
        "trainable_token_indices", "target_parameters", "alora_invocation_tokens", "use_qalora",
        "use_bdlora", "arrow_config", "kasa_config", "velora_config", "monteclora_config",
        "some_new_feature"}) {
    EXPECT_THAT(error(std::string("\"") + key + "\":[0]"), HasSubstr(std::string("'") + key + "'"));
  }
  EXPECT_THAT(error(R"("layers_to_transform":["1"])"), HasSubstr("'layers_to_transform'"));
  EXPECT_THAT(error(R"("layers_to_transform":-1)"), HasSubstr("'layers_to_transform'"));
  const std::string deep = std::string(150, '[') + std::string(150, ']');
  EXPECT_THAT(error("\"rank_pattern\":" + deep), HasSubstr("'rank_pattern'"));
  EXPECT_THAT(error("\"unknown\":" + deep), HasSubstr("'unknown'"));
  EXPECT_THAT(error("\"r\":" + deep), HasSubstr("'r'"));
  const std::string deeper = std::string(300000, '[') + std::string(300000, ']');
  EXPECT_THAT(error("\"r\":" + deeper), HasSubstr("nested deeper"));
  EXPECT_THROW(Parse("[]"), Error);
  EXPECT_THROW(Parse("{}"), Error);
}

// adapter_placement_keys_refused: keys that only say where factors sit.
TEST(LoraConfigTest, KeysThatNarrowTheTargetsAreReadAsPeftDoes) {
  const auto config = [](const std::string& pairs) {
    return Parse("{\"peft_type\":\"LORA\"," + pairs + "}");
  };
  const std::string names = R"("target_modules":["q_proj","v_proj"],)";
  const auto in = [](const LoraConfig& c, const char* module) { return IsTarget(c, module); };
  const LoraConfig one = config(names + R"("layers_to_transform":[1],"layers_pattern":null)");
  EXPECT_TRUE(in(one, "model.layers.1.self_attn.q_proj"));
  EXPECT_FALSE(in(one, "model.layers.0.self_attn.q_proj"));
  EXPECT_FALSE(in(one, "model.layers.11.self_attn.q_proj"));
  EXPECT_FALSE(in(one, "layers.1.q_proj"));  // nothing stands before "layers"
  EXPECT_FALSE(in(one, "layers.q_proj"));    // in no layer
  EXPECT_TRUE(in(config(R"("target_modules":["x.0.q"],"layers_to_transform":1)"), "x.0.q"));
  const LoraConfig named = config(names + R"("layers_to_transform":1,"layers_pattern":"layers")");
  EXPECT_TRUE(in(named, "layers.1.q_proj"));
  EXPECT_TRUE(in(named, "model.layers.1.mlp.experts.0.q_proj"));  // the first number
  EXPECT_FALSE(in(named, "model.h.1.q_proj"));
  const LoraConfig regex =
      config(names + R"("layers_to_transform":[1,3],"layers_pattern":["h","(lay|blo)..s?"])");
  EXPECT_TRUE(in(regex, "model.h.3.q_proj"));
  EXPECT_TRUE(in(regex, "model.layers.3.q_proj"));
  EXPECT_FALSE(in(regex, "model.layers.2.q_proj"));
  const LoraConfig excluded =
      config(R"("target_modules":"All-Linear","exclude_modules":["v_proj"])");
  EXPECT_TRUE(in(excluded, "model.layers.1.self_attn.q_proj"));
  EXPECT_FALSE(in(excluded, "model.layers.1.self_attn.v_proj"));
  EXPECT_FALSE(in(config(names + R"("exclude_modules":".*[.]1[.].*q_proj")"),
                  "model.layers.1.self_attn.q_proj"));
  const LoraConfig saved = config(R"("target_modules":"all-linear","modules_to_save":["mlp"])");
  EXPECT_FALSE(in(saved, "model.layers.1.mlp.up_proj"));
  EXPECT_TRUE(in(saved, "model.layers.1.self_attn.q_proj"));
  for (const LoraConfig& c : {one, named, regex, excluded}) {  // and survive saving
    const LoraConfig again = Parse(LoraConfigText(c));
    EXPECT_EQ(again.layers_to_transform, c.layers_to_transform);
    EXPECT_EQ(again.layers_pattern, c.layers_pattern);
    EXPECT_EQ(again.exclude_modules, c.exclude_modules);
    EXPECT_EQ(again.exclude_regex, c.exclude_regex);
  }
}

TEST(LoraConfigTest, KeysWithoutEffectAreAccepted) {
  EXPECT_NO_THROW(
      Parse(R"({"peft_type":"LORA","target_modules":["q"],"ensure_weight_tying":true,)"
            R"("fan_in_fan_out":true,"bias":null,"lora_bias":false,"lora_dtype":"bf16",)"
            R"("trainable_token_indices":null,"kasa_config":null,"some_key":"none",)"
            R"("loftq_config":{"loftq_bits":4},"auto_mapping":{"unsloth_fixed":true}})"));
}

// adapter_pattern_order: the file's order, which is not the alphabet's.
TEST(LoraConfigTest, TheFirstPatternOfTheFileCounts) {
  const LoraConfig config =
      Parse(R"({"peft_type":"LORA","r":4,"lora_alpha":8,"target_modules":["q_proj","v_proj"],)"
            R"("rank_pattern":{"z.*q_proj":2,"q_proj":3,"v_proj":5,"q_proj":6},)"
            R"("alpha_pattern":{"q_proj":4,"layers.0.self_attn.q_proj":64}})");
  for (const char* layer : {"0", "1"}) {
    const std::string q = std::string("model.layers.") + layer + ".self_attn.q_proj";
    EXPECT_EQ(AlphaOf(config, q), 4);
    EXPECT_EQ(RankOf(config, q), 6);  // the last value of a repeated key, as in Python
  }
  const LoraConfig again = Parse(LoraConfigText(config));
  EXPECT_EQ(again.rank_pattern, config.rank_pattern);
  EXPECT_EQ(again.alpha_pattern, config.alpha_pattern);
}

TEST(LoraConfigTest, TextReadsBack) {
  LoraConfig config;
  config.r = 3;
  config.lora_alpha = 4.5F;
  config.lora_dropout = 0.25F;
  config.use_rslora = true;
  config.target_modules = {"k_proj", "q_proj"};
  config.rank_pattern = {{"q_proj", 7}};
  config.alpha_pattern = {{"k_proj", 2.5F}};
  config.base_model_name_or_path = "org/\"name\"";
  const LoraConfig read = Parse(LoraConfigText(config));
  EXPECT_EQ(read.r, 3);
  EXPECT_EQ(read.lora_alpha, 4.5F);
  EXPECT_EQ(read.lora_dropout, 0.25F);
  EXPECT_TRUE(read.use_rslora);
  EXPECT_EQ(read.target_modules, config.target_modules);
  EXPECT_EQ(read.rank_pattern, config.rank_pattern);
  EXPECT_EQ(read.alpha_pattern, config.alpha_pattern);
  EXPECT_EQ(read.base_model_name_or_path, config.base_model_name_or_path);
  config.target_regex = "all-linear";
  EXPECT_EQ(Parse(LoraConfigText(config)).target_regex, "all-linear");
}

}  // namespace
}  // namespace lorikeet
