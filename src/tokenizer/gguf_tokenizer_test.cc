#include "tokenizer/gguf_tokenizer.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "tokenizer/gguf_fields_for_test.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/tokenizer.h"

namespace lorikeet {
namespace {

GgufTokenizerFields ByteLevelFields() {
  GgufTokenizerFields f;
  f.model = "gpt2";
  f.pre = "smollm";
  f.tokens = {"<|endoftext|>", "<|im_start|>", "h", "e", "1", "2", "12", "he", "Ġ", "Ġhe", "\\u"};
  f.token_types = {3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 4};
  f.merges = {"1 2", "h e", "Ġ he", "x y"};
  f.bos_id = 1;
  f.eos_id = 0;
  f.chat_template = "{{ messages }}";
  return f;
}

using Ids = std::vector<int32_t>;

TEST(GgufTokenizer, ByteLevel) {
  const auto t = Tokenizer::FromJson(TokenizerJsonFromGguf(ByteLevelFields()), "gguf");
  EXPECT_EQ(t.Encode("he he12<|im_start|>"), (Ids{7, 9, 4, 5, 1}));  // digits stay apart
  EXPECT_EQ(t.Encode("\\u"), (Ids{10}));
  EXPECT_TRUE(t.IsSpecial(0));
  EXPECT_FALSE(t.IsSpecial(10));
  EXPECT_EQ(t.Encode("he", true), (Ids{7}));  // add_bos is off
}

TEST(GgufTokenizer, SentencePieceMergesFollowTheScores) {
  GgufTokenizerFields f = SentencePieceFields();
  const auto ids = [&f](const char* text) {
    return Tokenizer::FromJson(TokenizerJsonFromGguf(f), "gguf").Encode(text);
  };
  EXPECT_EQ(ids("ab"), (Ids{8}));  // "▁a" first, then with "b" "▁ab"
  EXPECT_EQ(ids("aab"), (Ids{7, 6}));
  EXPECT_EQ(ids("é"), (Ids{3, 9, 10}));  // by its bytes
  f.tokens[8] = "▁b";
  EXPECT_EQ(ids("ab"), (Ids{7, 5}));
  f.scores[7] = -9;
  EXPECT_EQ(ids("ab"), (Ids{3, 6}));  // now "ab" is better than "▁a"
  f.add_space_prefix = false;
  EXPECT_EQ(ids("ab"), (Ids{6}));
}

TEST(GgufTokenizer, Config) {
  const Json json = ParseJson(TokenizerConfigJsonFromGguf(ByteLevelFields()), "config");
  EXPECT_EQ(json["bos_token"], "<|im_start|>");
  EXPECT_EQ(json["eos_token"], "<|endoftext|>");
  EXPECT_FALSE(json.contains("pad_token"));
  EXPECT_EQ(json["chat_template"], "{{ messages }}");
  EXPECT_EQ(json["tokenizer_class"], "PreTrainedTokenizerFast");
}

TEST(GgufTokenizer, EqualTokensGetNames) {
  GgufTokenizerFields f = ByteLevelFields();
  f.tokens.push_back("he");
  f.token_types.push_back(1);
  const auto t = Tokenizer::FromJson(TokenizerJsonFromGguf(f), "gguf");
  EXPECT_EQ(t.VocabSize(), 12);
  EXPECT_EQ(t.Encode("he"), (Ids{7}));
}

// Pieces as `tokenizers` cuts them by the patterns of the models' own files
// (tools/pre_kind_goldens.py).
TEST(GgufTokenizer, PatternsOfPreTokenizers) {
  const std::string path =
      std::string(LORIKEET_SOURCE_DIR) + "/tests/golden/tokenizer/pre_kinds.json";
  const Json golden = ParseJson(ReadFile(path), path);
  for (const auto& [name, pieces] : golden["pieces"].items()) {
    GgufTokenizerFields f = ByteLevelFields();
    f.pre = name;
    const Json json = ParseJson(TokenizerJsonFromGguf(f), name);
    EXPECT_EQ(json["model"]["ignore_merges"], name == "minicpm5" || name == "youtu") << name;
    EXPECT_EQ(json["model"]["byte_fallback"], name == "gemma4") << name;
    const PreTokenizer split(json["pre_tokenizer"], name);
    for (size_t i = 0; i < pieces.size(); ++i) {
      const auto source = golden["texts"][i].get<std::string>();
      AlignedText text(source, 0, false);
      std::vector<Span> spans;
      split.Apply(&text, &spans);
      std::vector<std::string> got;
      for (const Span& span : spans)
        got.push_back(source.substr(span.begin, span.end - span.begin));
      EXPECT_EQ(got, pieces[i].get<std::vector<std::string>>()) << name << ": " << source;
    }
  }
}

TEST(GgufTokenizer, MergesOfCharacters) {  // as Gemma 4
  GgufTokenizerFields f = SentencePieceFields();
  f.model = "gemma4";
  f.scores.clear();
  f.merges = {"▁ a", "a b"};
  const auto t = Tokenizer::FromJson(TokenizerJsonFromGguf(f), "gguf");
  EXPECT_EQ(t.Encode("ab"), (Ids{6}));      // no space before the text
  EXPECT_EQ(t.Encode(" ab"), (Ids{7, 5}));  // the first merge first
  EXPECT_EQ(t.Encode("é"), (Ids{9, 10}));   // by its bytes
  EXPECT_EQ(t.Decode(t.Encode(" ab")), " ab");
}

TEST(GgufTokenizer, Unigram) {  // as T5
  GgufTokenizerFields f = SentencePieceFields();
  f.model = "t5";
  f.scores = {0, 0, 0, -3, -2, -2, -3.5F, -9, -6.9F, -9, -9};
  const auto ids = [&f] {
    return Tokenizer::FromJson(TokenizerJsonFromGguf(f), "gguf").Encode(" ab");
  };
  EXPECT_EQ(ids(), (Ids{3, 3, 6}));  // "▁" and "ab" are better than "▁ab"
  f.remove_extra_spaces = true;
  EXPECT_EQ(ids(), (Ids{3, 6}));
  f.scores[8] = -6.4F;
  EXPECT_EQ(ids(), (Ids{8}));
}

TEST(GgufTokenizer, RefusesWhatDoesNotFit) {
  const auto expect_error = [](auto change, const char* message) {
    GgufTokenizerFields f = SentencePieceFields();
    change(f);
    try {
      TokenizerJsonFromGguf(f);
      ADD_FAILURE() << "no error: " << message;
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find(message), std::string::npos) << e.what();
    }
  };
  using F = GgufTokenizerFields;
  expect_error([](F& f) { f.model = "bert"; }, "'bert' is not supported");
  expect_error([](F& f) { f.model = "gpt2", f.pre = "zzz"; }, "'zzz' is not known");
  expect_error([](F& f) { f.scores.pop_back(); }, "scores");
  expect_error([](F& f) { f.token_types.pop_back(); }, "token_type");
  expect_error([](F& f) { f.bos_id = 11; }, "beyond the vocabulary");
  expect_error([](F& f) { f.tokens.clear(); }, "0 tokens");
  expect_error([](F& f) { f.tokens[4] = "\xFF"; }, "UTF-8");
  expect_error([](F& f) { f.model = "gpt2", f.merges = {"ab"}; }, "merge 'ab'");
}

}  // namespace
}  // namespace lorikeet
