#include "chat/bundle.h"

#include <gtest/gtest.h>

#include "chat/chat_format.h"
#include "core/error.h"
#include "core/json.h"
#include "tokenizer/gguf_fields_for_test.h"
#include "tokenizer/gguf_tokenizer.h"

namespace lorikeet {
namespace {

using Ids = std::vector<int32_t>;

TokenizerSources Sources() {
  TokenizerSources s;
  s.tokenizer_json = TokenizerJsonFromGguf(SentencePieceFields());
  s.tokenizer_config_json = TokenizerConfigJsonFromGguf(SentencePieceFields());
  s.where = "model";
  return s;
}

TEST(TokenizerBundle, FromGguf) {
  const TokenizerBundle b = LoadTokenizerBundle(Sources());
  EXPECT_EQ(b.bos_token, "<s>");
  EXPECT_EQ(b.bos_id, 1);
  EXPECT_EQ(b.eos_id, 2);
  EXPECT_EQ(b.pad_id, -1);
  EXPECT_EQ(b.eos_ids, (Ids{2}));
  EXPECT_TRUE(b.add_bos);
  EXPECT_EQ(b.chat_template, "");
}

TEST(TokenizerBundle, OtherFiles) {
  TokenizerSources s = Sources();
  s.tokenizer_config_json = R"({"eos_token": {"content": "</s>"}, "chat_template": [
      {"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]})";
  s.special_tokens_map_json = R"({"bos_token": "<s>", "pad_token": "<unk>"})";
  s.generation_config_json = R"({"eos_token_id": [6, 2]})";
  TokenizerBundle b = LoadTokenizerBundle(s);
  EXPECT_EQ(b.chat_template, "D");
  EXPECT_EQ(b.bos_id, 1);
  EXPECT_EQ(b.pad_id, 0);
  EXPECT_EQ(b.eos_ids, (Ids{6, 2}));
  s.chat_template = "J";
  s.generation_config_json = R"({"eos_token_id": 6})";
  b = LoadTokenizerBundle(s);
  EXPECT_EQ(b.chat_template, "J");
  EXPECT_EQ(b.eos_ids, (Ids{6, 2}));
}

TEST(TokenizerBundle, NamedTemplates) {
  TokenizerSources s = Sources();
  s.tokenizer_config_json = R"({"eos_token": "</s>", "chat_template": [
      {"name": "tool_use", "template": "T"}, {"name": "rag", "template": "R"},
      {"name": "tool_use", "template": "U"}]})";
  using Templates = std::map<std::string, std::string>;
  TokenizerBundle b = LoadTokenizerBundle(s);
  EXPECT_EQ(b.chat_template, "");
  EXPECT_EQ(b.named_templates, (Templates{{"tool_use", "U"}, {"rag", "R"}}));
  // Files replace the list as a whole.
  s.additional_templates = {{"tool_use", "F"}};
  EXPECT_EQ(LoadTokenizerBundle(s).named_templates, (Templates{{"tool_use", "F"}}));
  s.chat_template = "J";
  b = LoadTokenizerBundle(s);
  EXPECT_EQ(b.chat_template, "J");
  EXPECT_EQ(b.named_templates, (Templates{{"tool_use", "F"}}));
}

TEST(TokenizerBundle, NamesOfTemplateFiles) {
  EXPECT_EQ(AdditionalTemplateName("additional_chat_templates/tool_use.jinja"), "tool_use");
  EXPECT_EQ(AdditionalTemplateName("additional_chat_templates/.jinja"), "");
  EXPECT_EQ(AdditionalTemplateName("chat_template.jinja"), "");
  EXPECT_TRUE(AdditionalTemplateFiles("/no/such/folder").empty());
}

TEST(TokenizerBundle, IdsOfMinusOneAreNone) {
  TokenizerSources s = Sources();
  s.generation_config_json = R"({"eos_token_id": -1, "bos_token_id": -1})";
  EXPECT_EQ(LoadTokenizerBundle(s).eos_ids, (Ids{2}));
  s.generation_config_json = R"({"eos_token_id": [-1, 6]})";
  EXPECT_EQ(LoadTokenizerBundle(s).eos_ids, (Ids{6, 2}));
  s.generation_config_json = R"({"eos_token_id": [-2, 6]})";
  EXPECT_THROW(LoadTokenizerBundle(s), Error);
}

// Texts begin with the tokens of the post-processor, even if tokenizer_config.json names another
// BOS.
TEST(TokenizerBundle, PostProcessorDecidesWhatLeads) {
  TokenizerSources s = Sources();
  s.tokenizer_config_json = R"({"bos_token": "</s>", "add_bos_token": false})";
  TokenizerBundle b = LoadTokenizerBundle(s);
  EXPECT_EQ(b.bos_id, 2);
  EXPECT_EQ(b.leading_ids, (Ids{1}));
  Ids ids = {5};
  PutBos(b, "b", &ids);
  EXPECT_EQ(ids, (Ids{1, 5}));
  PutBos(b, "<s>b", &ids);
  EXPECT_EQ(ids, (Ids{1, 5}));
  s.tokenizer_config_json = "{}";
  b = LoadTokenizerBundle(s);
  EXPECT_EQ(b.bos_id, -1);
  EXPECT_TRUE(b.add_bos);
  Json json = ParseJson(s.tokenizer_json, "json");
  json["post_processor"]["special_tokens"]["<s>"]["ids"] = {1, 2};  // as GLM-4: two tokens
  s.tokenizer_json = json.dump();
  b = LoadTokenizerBundle(s);
  EXPECT_EQ(b.leading_ids, (Ids{1, 2}));
  json["post_processor"] = nullptr;
  s.tokenizer_json = json.dump();
  s.tokenizer_config_json = R"({"bos_token": "<s>", "add_bos_token": true})";
  b = LoadTokenizerBundle(s);  // with a tokenizer.json the config's add_bos_token does not count
  EXPECT_FALSE(b.add_bos);
  EXPECT_FALSE(NeedsBos(b, "b"));
}

TEST(TokenizerBundle, Errors) {
  TokenizerSources s = Sources();
  s.generation_config_json = R"({"eos_token_id": 99})";
  EXPECT_THROW(LoadTokenizerBundle(s), Error);
  s = Sources();
  s.tokenizer_config_json = R"({"eos_token": "<absent>"})";
  EXPECT_THROW(LoadTokenizerBundle(s), Error);
  s.tokenizer_config_json = "[]";
  EXPECT_THROW(LoadTokenizerBundle(s), Error);
  EXPECT_THROW(ReadTokenizerFolder("/no/such/folder"), Error);
}

}  // namespace
}  // namespace lorikeet
