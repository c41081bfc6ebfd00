// Tests of tokenizers in GGUF files: what is written is what this program reads, and what llama.cpp
// would split otherwise is refused.
#include "engine/gguf_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "chat/bundle.h"
#include "core/error.h"
#include "core/file.h"
#include "core/temporary_folder_for_test.h"
#include "tokenizer/sentencepiece_model.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A model's folder with a golden tokenizer, whose json `change` edits.
class TokenizerFolder {
 public:
  explicit TokenizerFolder(
      const std::string& name, const std::function<void(Json&)>& change = [](Json& /*json*/) {}) {
    const std::string path =
        std::string(LORIKEET_SOURCE_DIR) + "/tests/golden/tokenizer/" + name + ".json";
    Json json = ParseJson(ReadFile(path), path);
    for (Json& token : json["added_tokens"]) token["lstrip"] = token["rstrip"] = false;
    change(json);
    PutModel();
    Put("tokenizer.json", json.dump());
  }
  TokenizerFolder() { PutModel(); }

  void Put(const std::string& name, const std::string& content) const {
    fs::create_directories(fs::path(folder_ / name).parent_path());
    WriteFileAtomically(folder_ / name, content);
  }
  ModelSource Source() const { return ModelSource::Open(folder_.path()); }
  int64_t Tokens() const {
    return LoadTokenizerBundle(*TokenizerSourcesOf(Source())).tokenizer.VocabSize();
  }
  GgufTokenizerFields Fields(int64_t more_rows = 0) const {
    return MakeGgufText(Source(), Tokens() + more_rows, false)->fields;
  }
  std::string Error() const {
    try {
      Fields();
    } catch (const lorikeet::Error& e) {
      return e.what();
    }
    return "";
  }

 private:
  void PutModel() const {
    for (const char* file : {"/config.json", "/model.safetensors"}) {
      fs::copy(std::string(LORIKEET_SOURCE_DIR) + "/tests/golden/model/llama" + file,
               folder_.path() + file);
    }
  }
  TemporaryFolder folder_;
};

class GoldenTokenizer : public ::testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(GoldenTokenizer, IsReadAsItWas) {
  const auto& [name, pre] = GetParam();
  const TokenizerFolder folder(name);
  const GgufTokenizerFields fields = folder.Fields(/*more_rows=*/7);  // compares encodings
  EXPECT_EQ(fields.pre, pre);
  EXPECT_EQ(fields.model, fields.pre == "default" ? "llama" : "gpt2");
  EXPECT_EQ(fields.tokens.size(), static_cast<size_t>(folder.Tokens()) + 7);
  EXPECT_EQ(fields.tokens.back(), fmt::format("[PAD{}]", folder.Tokens() + 6));
  EXPECT_EQ(fields.token_types.back(), kUnusedPiece);
  EXPECT_EQ(fields.scores.empty(), fields.model == "gpt2");
}
INSTANTIATE_TEST_SUITE_P(Goldens, GoldenTokenizer,
                         ::testing::Values(std::pair("gpt2", "gpt-2"),
                                           std::pair("smollm", "smollm"),
                                           std::pair("llama3", "llama-bpe"),
                                           std::pair("qwen2", "qwen2"),
                                           std::pair("llama2", "default")));

TEST(GgufText, SpecialTokensAndTemplates) {
  const TokenizerFolder folder("llama3");
  folder.Put("tokenizer_config.json",
             R"({"bos_token": "<s>", "eos_token": "<|im_end|>", "pad_token": "</s>"})");
  const auto id = [&](const char* token) {
    return int64_t{
        *LoadTokenizerBundle(*TokenizerSourcesOf(folder.Source())).tokenizer.TokenToId(token)};
  };
  folder.Put("generation_config.json",
             Json{{"eos_token_id", {id("</s>"), id("<|im_end|>"), id("<s>")}}}.dump());
  folder.Put("chat_template.jinja", "{{ messages }}");
  folder.Put("additional_chat_templates/tool_use.jinja", "{{ tools }}");
  const GgufTokenizerFields f = folder.Fields();
  EXPECT_EQ(f.bos_id, id("<s>"));
  EXPECT_EQ(f.eos_id, id("<|im_end|>"));
  EXPECT_EQ(f.eot_id, id("</s>"));
  EXPECT_EQ(f.eom_id, id("<s>"));
  EXPECT_EQ(f.pad_id, id("</s>"));
  EXPECT_TRUE(f.add_bos);
  EXPECT_FALSE(f.add_eos);
  EXPECT_EQ(f.chat_template, "{{ messages }}");
  EXPECT_EQ(f.named_templates.at("tool_use"), "{{ tools }}");
  EXPECT_EQ(f.token_types[static_cast<size_t>(f.bos_id)], kControlPiece);
  folder.Put("generation_config.json",
             Json{{"eos_token_id", {id("</s>"), id("<s>"), id("<|im_start|>")}}}.dump());
  EXPECT_THAT(folder.Error(), HasSubstr("4 tokens end a generation"));
}

TEST(GgufText, ScoresOfTheSentencePieceModel) {
  const std::string path =
      std::string(LORIKEET_SOURCE_DIR) + "/tests/golden/sentencepiece/bpe.model";
  const TokenizerFolder folder;
  folder.Put("tokenizer.model", ReadFile(path));
  const SentencePieceModel model = ParseSentencePieceModel(ReadFile(path), path);
  const auto text = MakeGgufText(folder.Source(), folder.Tokens(), true);
  for (size_t id = 0; id < model.texts.size(); ++id) {
    ASSERT_EQ(text->fields.tokens[id], model.texts[id]);
    ASSERT_EQ(text->fields.scores[id], model.scores[id]);
  }
}

TEST(GgufText, WhatLlamaCppSplitsOtherwiseIsRefused) {
  // A token that takes the spaces before it.
  const TokenizerFolder strips("gpt2",
                               [](Json& json) { json["added_tokens"][2]["lstrip"] = true; });
  EXPECT_THAT(strips.Error(), HasSubstr("texts are split otherwise"));
  // Prefix of a text that begins with a space.
  const TokenizerFolder metaspace("mistral");
  EXPECT_THAT(metaspace.Error(), HasSubstr("texts are split otherwise"));
  const auto accepted = MakeGgufText(metaspace.Source(), metaspace.Tokens(), true);
  EXPECT_THAT(accepted->notes, ElementsAre(HasSubstr("the GGUF file's tokenizer differs")));
  const TokenizerFolder pattern("llama3", [](Json& json) {
    json["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "[a-z]+|.";
  });
  EXPECT_THAT(pattern.Error(), HasSubstr("no name (tokenizer.ggml.pre)"));
  // A merge of a token that another rank should make first.
  const TokenizerFolder merges("llama2", [](Json& json) {
    Json& list = json["model"]["merges"];
    std::reverse(list.begin(), list.end());
    list.erase(0);
  });
  EXPECT_NE(merges.Error(), "");
  const TokenizerFolder two("llama3", [](Json& json) {
    Json& single = json["post_processor"]["single"];
    single.insert(single.begin(), single[0]);
  });
  EXPECT_THAT(two.Error(), HasSubstr("put before a text"));
}

TEST(GgufText, TokensBeyondTheEmbeddingAreLeftOut) {
  const TokenizerFolder folder("qwen2");
  const int64_t last = folder.Tokens() - 1;
  const auto text = MakeGgufText(folder.Source(), last, false);
  EXPECT_EQ(text->fields.tokens.size(), static_cast<size_t>(last));
  EXPECT_THAT(text->notes, ElementsAre(HasSubstr("1 of the tokenizer's")));
}

}  // namespace
}  // namespace lorikeet
