// Ids and texts against those of the `tokenizers` package (tools/tokenizer_goldens.py).
#include "tokenizer/tokenizer.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "core/utf8.h"

namespace lorikeet {
namespace {

std::string GoldenPath(const std::string& name) {
  return std::string(LORIKEET_SOURCE_DIR) + "/tests/golden/tokenizer/" + name;
}

Json Golden(const std::string& name) { return ParseJson(ReadFile(GoldenPath(name)), name); }

// `tokenizers` counts in characters: widens offsets to whole characters.
void WidenToChars(std::string_view text, Encoding* e) {
  const auto inside = [&](uint32_t i) {
    return i < text.size() && (static_cast<uint8_t>(text[i]) & 0xC0) == 0x80;
  };
  for (size_t t = 0; t < e->ids.size(); ++t) {
    while (inside(e->begin[t])) --e->begin[t];
    while (inside(e->end[t])) ++e->end[t];
  }
}

enum Checks { kIds = 0, kOffsets = 1 };

void ExpectGolden(const Tokenizer& tokenizer, const std::string& text, const Json& expected,
                  Checks checks) {
  const auto ids = expected["ids"].get<std::vector<int32_t>>();
  EXPECT_EQ(tokenizer.Encode(text), ids) << "text: " << text;
  Encoding encoding = tokenizer.EncodeWithOffsets(text);
  EXPECT_EQ(encoding.ids, ids) << "text: " << text;
  if (checks == kOffsets) {
    WidenToChars(text, &encoding);
    EXPECT_EQ(encoding.begin, expected["begin"].get<std::vector<uint32_t>>()) << "text: " << text;
    EXPECT_EQ(encoding.end, expected["end"].get<std::vector<uint32_t>>()) << "text: " << text;
  }
  EXPECT_EQ(tokenizer.Encode(text, true), expected["special"].get<std::vector<int32_t>>());
  EXPECT_EQ(tokenizer.Decode(ids), expected["decoded"].get<std::string>());
  EXPECT_EQ(tokenizer.Decode(ids, true), expected["skipped"].get<std::string>());
}

TEST(TokenizerGolden, ModelFamilies) {
  const Json cases = Golden("cases.json");
  for (const auto& [name, expected] : cases["tokenizers"].items()) {
    SCOPED_TRACE(name);
    const Tokenizer tokenizer = Tokenizer::FromFile(GoldenPath(name + ".json"));
    for (size_t i = 0; i < expected.size(); ++i) {
      // Our offsets cover all characters that NFC joins, those of `tokenizers` the first.
      const bool same_offsets = name != "qwen2" || expected[i]["decoded"] == cases["texts"][i];
      ExpectGolden(tokenizer, cases["texts"][i], expected[i], same_offsets ? kOffsets : kIds);
    }
  }
}

TEST(TokenizerGolden, EveryKindOfStep) {
  const Json golden = Golden("variants.json");
  for (const Json& variant : golden["variants"]) {
    SCOPED_TRACE(variant["change"].dump().substr(0, 300));
    Json json = golden["base"];
    json.update(variant["change"]);
    const Tokenizer tokenizer = Tokenizer::FromJson(json.dump(), "variant");
    // After a dropped character the offsets of `tokenizers` are wrong; ours stay right. Within a
    // text that a normal form changed ours are coarser.
    const std::string norm = json["normalizer"].is_object() ? json["normalizer"]["type"] : "";
    const bool same_offsets =
        !json["model"]["unk_token"].is_null() && norm.substr(0, 2) != "NF" && norm != "Sequence";
    for (size_t i = 0; i < golden["texts"].size(); ++i) {
      ExpectGolden(tokenizer, golden["texts"][i], variant["expected"][i],
                   same_offsets ? kOffsets : kIds);
    }
  }
}

TEST(Tokenizer, OffsetsTileTheTextToTheByte) {
  const Tokenizer tokenizer = Tokenizer::FromFile(GoldenPath("gpt2.json"));
  const std::string text = "Emoji 😀 and \xFF\xE6\x97 broken bytes";
  const Encoding e = tokenizer.EncodeWithOffsets(text);
  ASSERT_GT(e.ids.size(), 10u);
  EXPECT_EQ(e.begin.front(), 0u);
  EXPECT_EQ(e.end.back(), text.size());
  for (size_t t = 1; t < e.ids.size(); ++t) EXPECT_LE(e.begin[t], e.end[t - 1]);
  EXPECT_EQ(tokenizer.Decode(e.ids), "Emoji 😀 and \uFFFD\uFFFD broken bytes");
}

TEST(Tokenizer, SpecialTokensOfThePostProcessorCoverNothing) {
  const Tokenizer tokenizer = Tokenizer::FromFile(GoldenPath("llama2.json"));
  const Encoding e = tokenizer.EncodeWithOffsets("hi", true);
  ASSERT_GE(e.ids.size(), 3u);
  EXPECT_EQ(e.ids.front(), 1);
  EXPECT_EQ(e.end.front(), 0u);
  EXPECT_EQ(e.ids.back(), 2);
  EXPECT_EQ(e.begin.back(), 2u);
  EXPECT_EQ(e.end.back(), 2u);
}

TEST(Tokenizer, Lookups) {
  const Tokenizer tokenizer = Tokenizer::FromFile(GoldenPath("gpt2.json"));
  const int32_t start = tokenizer.TokenToId("<|im_start|>").value();
  EXPECT_EQ(tokenizer.IdToToken(start), "<|im_start|>");
  EXPECT_TRUE(tokenizer.IsSpecial(start));
  EXPECT_FALSE(tokenizer.IsSpecial(tokenizer.TokenToId("a").value()));
  EXPECT_EQ(tokenizer.VocabSize(), 1001);
  EXPECT_EQ(tokenizer.TokenToId("no such token"), std::nullopt);
  for (const int32_t id : {-1, 1001, INT32_MAX, INT32_MIN}) {
    EXPECT_EQ(tokenizer.IdToToken(id), "");
    EXPECT_FALSE(tokenizer.IsSpecial(id));
    EXPECT_EQ(tokenizer.Decode(std::vector{id}), "");
  }
}

// A quadratic merge or scanner would take minutes.
TEST(Tokenizer, LongRunsTakeLinearTime) {
  const auto start = std::chrono::steady_clock::now();
  for (const char* name : {"gpt2.json", "llama3.json", "llama2.json", "mistral.json"}) {
    const Tokenizer tokenizer = Tokenizer::FromFile(GoldenPath(name));
    for (const char c : {' ', 'a', '1', '\n', '-'}) {
      const std::string text = "x" + std::string(100'000, c) + "x";
      EXPECT_TRUE(tokenizer.Decode(tokenizer.Encode(text)) == text) << name << " of '" << c << "'";
    }
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  EXPECT_LT(seconds.count(), 30);
}

TEST(Tokenizer, ThreadsAgree) {
  const Tokenizer tokenizer = Tokenizer::FromFile(GoldenPath("qwen2.json"));
  const std::string text = ReadFile(GoldenPath("cases.json"));
  const std::vector<int32_t> expected = tokenizer.Encode(text);
  std::vector<std::vector<int32_t>> got(4);
  std::vector<std::thread> threads;
  for (auto& ids : got) threads.emplace_back([&] { ids = tokenizer.Encode(text); });
  for (auto& thread : threads) thread.join();
  for (const auto& ids : got) EXPECT_EQ(ids, expected);
}

TEST(StreamDecoder, PiecesJoinToTheWhole) {
  const Json cases = Golden("cases.json");
  for (const auto& [name, expected] : cases["tokenizers"].items()) {
    const Tokenizer tokenizer = Tokenizer::FromFile(GoldenPath(name + ".json"));
    for (const Json& text : cases["texts"]) {
      const std::vector<int32_t> ids = tokenizer.Encode(text.get<std::string>());
      for (const bool skip : {false, true}) {
        StreamDecoder stream(tokenizer, skip);
        std::string joined;
        for (const int32_t id : ids) {
          const std::string piece = stream.Push(id);
          EXPECT_TRUE(IsValidUtf8(piece));
          joined += piece;
        }
        joined += stream.Finish();
        EXPECT_EQ(joined, tokenizer.Decode(ids, skip)) << name << ": " << text;
      }
    }
  }
}

TEST(StreamDecoder, HoldsBackIncompleteCharacters) {
  const Tokenizer tokenizer = Tokenizer::FromFile(GoldenPath("gpt2.json"));
  std::vector<int32_t> bytes;
  for (const char* token : {"ð", "Ł", "ĺ", "Ģ"}) bytes.push_back(*tokenizer.TokenToId(token));
  StreamDecoder stream(tokenizer);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(stream.Push(bytes[i]), "");
  EXPECT_EQ(stream.Push(bytes[3]), "😀");
  EXPECT_EQ(stream.Push(bytes[0]), "");
  EXPECT_EQ(stream.Finish(), "\uFFFD");
  // Endless ill-formed bytes neither accumulate nor change the text.
  std::string joined;
  const std::vector<int32_t> junk(100, bytes[1]);
  for (const int32_t id : junk) joined += stream.Push(id);
  EXPECT_GT(joined.size(), 3u * 80);
  EXPECT_EQ(joined + stream.Finish(), tokenizer.Decode(junk));
}

// --- files that do not fit ---

Json Small() {
  return ParseJson(R"({"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2},
                      "merges": ["a b"]}, "added_tokens": []})",
                   "small");
}

// The Error's text, or "" when the file loads and encodes.
std::string Problem(const Json& json) {
  try {
    Tokenizer::FromJson(json.dump(), "t.json").Encode("ab ba aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab");
    return "";
  } catch (const Error& e) {
    return e.what();
  }
}

TEST(TokenizerErrors, NameTheFileAndThePart) {
  const auto problem = [](const char* pointer, const Json& value) {
    Json json = Small();
    json[Json::json_pointer(pointer)] = value;
    return Problem(json);
  };
  EXPECT_EQ(Problem(Small()), "");
  const std::vector<std::tuple<const char*, Json, const char*>> bad = {
      {"/model/type", "WordPiece", "model type WordPiece"},
      {"/model/type", "Unigram", "model: 'vocab' must be a list"},
      {"/model/dropout", 0.1, "dropout"},
      {"/model/vocab/b", 0, "same id"},
      {"/model/vocab/b", -1, "model.vocab: 'b' must be an id"},
      {"/model/vocab/b", 4000000000u, "model.vocab: 'b' must be an id"},
      {"/model/vocab/b", "x", "model.vocab: 'b' must be an id"},
      {"/model/vocab", nullptr, "model.vocab: expected an object"},
      {"/model/merges", nullptr, "model: 'merges' must be a list"},
      {"/model/merges/0", "a c", "'c' is not in the vocabulary"},
      {"/model/merges/0", 7, "merges[0]"},
      {"/model/merges/0", {"a", "b", 9}, "merges[0]: its rank"},
      {"/model/unk_token", "<unk>", "<unk>"},
      {"/model/continuing_subword_prefix", "##", "continuing_subword_prefix"},
      {"/added_tokens/0", {{"id", 9}, {"content", "<x>"}}, "next free id"},
      {"/added_tokens/0", {{"id", -3}, {"content", "<x>"}}, "added_tokens[0]: 'id' must be"},
      {"/normalizer", {{"type", "StripAccents"}}, "normalizer StripAccents"},
      {"/normalizer",
       {{"type", "Precompiled"}, {"precompiled_charsmap", "?"}},
       "normalizer: 'precompiled_charsmap' must be Base64"},
      {"/normalizer",
       {{"type", "Precompiled"}, {"precompiled_charsmap", "AAAA"}},
       "precompiled charsmap"},
      {"/pre_tokenizer",
       {{"type", "Split"}, {"behavior", "Isolated"}, {"pattern", {{"Regex", "("}}}},
       "regular expression '('"},
      {"/pre_tokenizer",
       {{"type", "Split"}, {"behavior", "Isolated"}, {"pattern", {{"Regex", "(a+a+)+[xy]"}}}},
       "too costly"},
      {"/decoder", {{"type", "WordPiece"}}, "decoder WordPiece"},
      {"/post_processor", {{"type", "Unheard"}}, "post-processor Unheard"},
      {"/post_processor",
       {{"type", "BertProcessing"}, {"cls", {"a", -1}}, {"sep", {"b", 1}}},
       "'cls' must be [\"token\", id]"},
  };
  for (const auto& [pointer, value, message] : bad) {
    const std::string got = problem(pointer, value);
    EXPECT_NE(got.find(message), got.npos) << pointer << " = " << value << ": " << got;
    EXPECT_EQ(got.find('\n'), got.npos);
    EXPECT_EQ(got.rfind("t.json", 0), 0u) << got;
  }
}

TEST(TokenizerErrors, DeepNestingAndOtherTypes) {
  Json deep = Json{{"type", "NFC"}};
  for (int i = 0; i < 50; ++i) deep = Json{{"type", "Sequence"}, {"normalizers", {deep}}};
  Json json = Small();
  json["normalizer"] = deep;
  EXPECT_NE(Problem(json).find("nested too deeply"), std::string::npos);
  for (const char* text : {"", "[]", "3", "{}", "{\"model\":", "null"}) {
    EXPECT_THROW(Tokenizer::FromJson(text, "t.json"), Error) << text;
  }
  EXPECT_THROW(Tokenizer::FromFile("/no/such/tokenizer.json"), Error);
}

}  // namespace
}  // namespace lorikeet
