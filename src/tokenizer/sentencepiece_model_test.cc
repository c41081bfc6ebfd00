// tokenizer.model files against `sentencepiece`, and unigram models of tokenizer.json against
// `tokenizers` (tools/sentencepiece_goldens.py).
#include "tokenizer/sentencepiece_model.h"

#include <gmock/gmock.h>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "tokenizer/base64.h"
#include "tokenizer/tokenizer.h"

namespace lorikeet {
namespace {

using ::testing::HasSubstr;
using Ids = std::vector<int32_t>;

std::string Golden(const std::string& name) {
  return ReadFile(std::string(LORIKEET_SOURCE_DIR) + "/tests/golden/sentencepiece/" + name);
}

Json Expected() { return ParseJson(Golden("expected.json"), "expected.json"); }

SentencePieceModel Model(const std::string& name) {
  return ParseSentencePieceModel(Golden(name + ".model"), name);
}

Tokenizer Make(const SentencePieceModel& model, const std::string& where = "model") {
  return Tokenizer::FromJson(
      TokenizerJsonFromSentencePiece(model, {.space_prefix = model.add_dummy_prefix}), where);
}

TEST(SentencePiece, IdsAreThoseOfSentencePiece) {
  const Json expected = Expected();
  for (const auto& [name, ids] : expected["sentencepiece"].items()) {
    SCOPED_TRACE(name);
    const SentencePieceModel model = Model(name);
    const Tokenizer tokenizer = Make(model);
    for (size_t i = 0; i < ids.size(); ++i) {
      const std::string text = expected["texts"][i];
      // A tokenizer.json puts the prefix after a user-defined symbol again.
      if (text.find("<sep>") != text.npos && name != "bpe_no_prefix") continue;
      EXPECT_EQ(tokenizer.Encode(text), ids[i].get<Ids>()) << "text: " << text;
      EXPECT_EQ(tokenizer.EncodeWithOffsets(text).ids, ids[i].get<Ids>()) << "text: " << text;
    }
  }
}

TEST(SentencePiece, SymbolsAreOneTokenEach) {
  const Tokenizer tokenizer = Make(Model("bpe"));
  const auto sep = *tokenizer.TokenToId("<sep>");
  EXPECT_FALSE(tokenizer.IsSpecial(sep));
  EXPECT_THAT(tokenizer.Encode("abc<sep> def"), testing::Contains(sep).Times(1));
  EXPECT_EQ(tokenizer.Decode(tokenizer.Encode("abc")), "abc");
}

TEST(SentencePiece, TokensGoBackToTheText) {
  const Json expected = Expected();
  for (const char* name : {"bpe", "bpe_no_prefix", "bpe_extended"}) {
    const Tokenizer tokenizer = Make(Model(name));
    for (const Json& text : expected["texts"]) {
      const auto source = text.get<std::string>();
      if (source.find("▁") != source.npos || source.find("<sep>") != source.npos) continue;
      EXPECT_EQ(tokenizer.Decode(tokenizer.Encode(source)), source) << name;
    }
  }
}

TEST(SentencePiece, UnigramOfTokenizerJson) {
  const Json expected = Expected();
  const Tokenizer tokenizer = Tokenizer::FromJson(Golden("unigram.json"), "unigram.json");
  std::vector<std::string> texts = expected["texts"];
  for (const Json& text : expected["special"]) texts.push_back(text);
  for (size_t i = 0; i < texts.size(); ++i) {
    const Json& want = expected["tokenizers"][i];
    EXPECT_EQ(tokenizer.Encode(texts[i]), want["ids"].get<Ids>()) << texts[i];
    EXPECT_EQ(tokenizer.Encode(texts[i], true), want["special"].get<Ids>()) << texts[i];
    EXPECT_EQ(tokenizer.Decode(want["ids"].get<Ids>()), want["decoded"].get<std::string>())
        << texts[i];
    const Encoding e = tokenizer.EncodeWithOffsets(texts[i]);
    EXPECT_EQ(e.ids, want["ids"].get<Ids>());
    for (size_t t = 0; t < e.ids.size(); ++t) EXPECT_LE(e.end[t], texts[i].size());
  }
}

TEST(SentencePiece, LongTextsTakeLinearTime) {
  for (const char* name : {"unigram", "unigram_bytes", "bpe"}) {
    const Tokenizer tokenizer = Make(Model(name));
    for (const std::string& part : {std::string("a"), std::string("☃"), std::string("the ")}) {
      std::string text;
      while (text.size() < 400'000) text += part;
      EXPECT_FALSE(tokenizer.Encode(text).empty()) << name;
    }
  }
}

// A message of one field.
std::string Field(int number, const std::string& value) {
  std::string out(1, static_cast<char>(number << 3 | 2));
  for (size_t n = value.size(); true; n >>= 7) {
    out += static_cast<char>((n & 0x7F) | (n > 0x7F ? 0x80 : 0));
    if (n <= 0x7F) break;
  }
  return out + value;
}
std::string Number(int number, uint8_t value) {
  std::string out;
  for (uint32_t key = static_cast<uint32_t>(number) << 3; true; key >>= 7) {
    out += static_cast<char>((key & 0x7F) | (key > 0x7F ? 0x80 : 0));
    if (key <= 0x7F) break;
  }
  return out + static_cast<char>(value);
}
std::string Piece(const std::string& text, uint8_t type) {
  return Field(1, Field(1, text) + std::string("\x15\0\0\x80\x3F", 5) + Number(3, type));
}

std::string Problem(const std::string& bytes) {
  try {
    Make(ParseSentencePieceModel(bytes, "dir: tokenizer.model"), "dir: tokenizer.model")
        .Encode("a b");
    return "";
  } catch (const Error& e) {
    return e.what();
  }
}

TEST(SentencePiece, RefusesByName) {
  const std::string good = Piece("<unk>", 2) + Piece("a", 1);
  EXPECT_EQ(Problem(good), "");
  const std::vector<std::pair<std::string, const char*>> bad = {
      {"", "has no pieces"},
      {Piece("a", 1), "has no unknown piece"},
      {good + Piece("a", 1), "'a' is there twice"},
      {good + Piece("b", 2), "two unknown pieces"},
      {good + Piece("b", 5), "unused"},
      {good + Piece("b", 9), "unknown type 9"},
      {good + Piece("\xFF", 1), "not UTF-8"},
      {good + Piece("", 1), "empty"},
      {good + Field(2, Number(3, 3)), "of words"},
      {good + Field(2, Number(3, 4)), "of characters"},
      {good + Field(2, Number(24, 1)), "treat_whitespace_as_suffix"},
      {good + Field(3, Number(5, 0)), "escape_whitespaces"},
      {good + Field(3, Field(2, "abc")), "charsmap"},
      {good + Field(5, Field(2, "abc")), "denormalizer_spec"},
      {good.substr(0, good.size() - 1), "damaged"},
      {"\xFF\xFF", "damaged"},
      {"IQ== 0\nIg== 1\n", "tiktoken"},
      {"version https://git-lfs", "damaged"},
  };
  for (const auto& [bytes, message] : bad) {
    const std::string got = Problem(bytes);
    EXPECT_THAT(got, HasSubstr(message));
    EXPECT_EQ(got.rfind("dir: tokenizer.model", 0), 0u) << got;
    EXPECT_EQ(got.find('\n'), got.npos);
  }
}

// Cutting or changing any byte of a real file gives a tokenizer or an Error.
TEST(SentencePiece, DamagedFilesAreRefusedOrWork) {
  const std::string file = Golden("unigram.model");
  for (size_t i = 0; i < file.size(); i += 7) {
    std::string changed = file;
    changed[i] = static_cast<char>(changed[i] ^ 0x55);
    Problem(changed);
    Problem(file.substr(0, i));
  }
}

TEST(Base64, RoundTrip) {
  for (const std::string& bytes : {std::string(), std::string("a"), std::string("ab"),
                                   std::string("abc"), std::string("\0\xFF\x80", 3)}) {
    EXPECT_EQ(DecodeBase64(EncodeBase64(bytes)), bytes);
  }
  EXPECT_EQ(EncodeBase64("hello"), "aGVsbG8=");
  for (const char* bad : {"a", "a===", "=aaa", "aa*="}) EXPECT_EQ(DecodeBase64(bad), std::nullopt);
}

}  // namespace
}  // namespace lorikeet
