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

LoraConfig Parse(const std::string& text) { return ParseLoraConfig(ParseJson(text, "c"), "c"); }

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
       {"use_dora", "lora_bias", "fan_in_fan_out", "modules_to_save", "layers_to_transform",
        "layer_replication", "exclude_modules", "trainable_token_indices", "target_parameters",
        "alora_invocation_tokens", "some_new_feature"}) {
    EXPECT_THAT(error(std::string("\"") + key + "\":[0]"), HasSubstr(std::string("'") + key + "'"));
  }
  const std::string deep = std::string(150, '[') + std::string(150, ']');
  EXPECT_THAT(error("\"rank_pattern\":" + deep), HasSubstr("'rank_pattern'"));
  EXPECT_THAT(error("\"unknown\":" + deep), HasSubstr("'unknown'"));
  EXPECT_THAT(error("\"r\":" + deep), HasSubstr("'r'"));
  const std::string deeper = std::string(300000, '[') + std::string(300000, ']');
  EXPECT_THAT(error("\"r\":" + deeper), HasSubstr("nested deeper"));
  EXPECT_THROW(Parse("[]"), Error);
  EXPECT_THROW(Parse("{}"), Error);
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
