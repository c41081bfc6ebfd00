#include "grammar/token_mask.h"

#include <gtest/gtest.h>

#include <cmath>
#include <thread>

#include "core/file.h"
#include "core/random.h"
#include "grammar/match_for_test.h"
#include "grammar/random_schema_for_test.h"
#include "grammar/schema_oracle_for_test.h"

namespace lorikeet {
namespace {

constexpr int32_t kEnd = 0;

// Every byte, tokens of several bytes (among them parts of characters and text across the borders
// of JSON tokens), equal ones, and tokens that may never be written.
std::vector<std::string> ToyTokens() {
  std::vector<std::string> tokens = {"<end>", ""};
  for (int byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  for (const char* text :
       {"a",      "ab",       "abc",    "b0",       "{\"",      "\":",
        "\": ",   "\": \"",   "\",",    "\"}",      "\"]",      "\"}}",
        "}}",     "]]",       "[[",     "[{",       "{}",       "[]",
        ", ",     ",\n",      ",\n  ",  "{\n",      "\n  ",     "\n    ",
        "    ",   "true",     "false",  "null",     "nul",      "tr",
        "12",     "-1",       "0.5",    "1e3",      ".",        "00",
        "\\u00",  "\\ud8",    "\\u",    "\\\"",     "é",        "\xC3",
        "\xA9",   "\xE2\x82", "\xAC",   "\x9F\x98", "😀",        "\xF0\x9F",
        "\x80\"", "é\": ",    "\"a\":", "\"v\"",    "\"ab\": ", "\"next\": {\"v\": ",
        "a\": ",  "x",        "\"\"",   "1, ",      "1]",       "9}",
        "null}"}) {
    tokens.emplace_back(text);
  }
  return tokens;
}

std::vector<uint64_t> BruteForce(const TokenMask& masks, const GrammarMatcher& matcher) {
  std::vector<uint64_t> mask((masks.vocab_size() + 63) / 64);
  for (int32_t id = 0; id < masks.vocab_size(); ++id) {
    GrammarMatcher fork = matcher;
    const bool allowed = masks.IsEnd(id)
                             ? matcher.CanEnd()
                             : !masks.Bytes(id).empty() && fork.Advance(masks.Bytes(id));
    if (allowed) mask[id / 64] |= uint64_t{1} << (id % 64);
  }
  return mask;
}

std::vector<int32_t> Ids(const std::vector<uint64_t>& mask) {
  std::vector<int32_t> ids;
  for (size_t id = 0; id < mask.size() * 64; ++id) {
    if (mask[id / 64] >> (id % 64) & 1) ids.push_back(static_cast<int32_t>(id));
  }
  return ids;
}

// A token of the mask: any at first, later those that end something.
int32_t Pick(const TokenMask& masks, const std::vector<int32_t>& ids, size_t step,
             RandomSchema* random) {
  if (step > 40 && random->Chance(60)) {
    for (const char* closing : {"", "\"", "}", "]", "null", "n", "0"}) {
      for (const int32_t id : ids) {
        if (masks.Bytes(id) == closing) return id;
      }
    }
  }
  return ids[random->Below(ids.size())];
}

// Writes a text by random tokens, comparing each mask; returns it.
std::string RandomText(const GrammarPointer& grammar, const TokenMask& masks,
                       const TokenMask& uncached, RandomSchema* random) {
  GrammarMatcher matcher(grammar);
  std::string text;
  std::vector<uint64_t> mask, other;
  for (size_t step = 0; step < 2000; ++step) {
    EXPECT_TRUE(masks.AllowedTokens(matcher, &mask)) << text;
    EXPECT_TRUE(step >= 30 || mask == BruteForce(masks, matcher)) << text;
    uncached.AllowedTokens(matcher, &other);
    EXPECT_EQ(mask, other) << text;
    const std::vector<int32_t> ids = Ids(mask);
    if (ids.empty()) break;
    const int32_t id = Pick(masks, ids, step, random);
    if (id == kEnd) return text;
    EXPECT_TRUE(matcher.Advance(masks.Bytes(id)));
    text += masks.Bytes(id);
  }
  ADD_FAILURE() << "no end: " << text;
  return text;
}

TEST(TokenMask, RandomTextsSatisfyTheirSchemas) {
  const TokenMask masks(ToyTokens(), {kEnd});
  TokenMask uncached(ToyTokens(), {kEnd});
  uncached.SetCacheLimit(0);
  size_t texts = 0;
  for (uint64_t seed = 0; seed < 150; ++seed) {
    RandomSchema random(seed);
    const OrderedJson schema = random.Make();
    GrammarPointer grammar;
    try {
      grammar = SchemaGrammar(schema);
    } catch (const Error&) {
      continue;
    }
    const SchemaOracle oracle(schema);
    for (int i = 0; i < 3; ++i) {
      const std::string text = RandomText(grammar, masks, uncached, &random);
      if (HasFailure()) FAIL() << schema;
      const OrderedJson document = OrderedJson::parse(text, nullptr, false);
      ASSERT_FALSE(document.is_discarded()) << schema << "\n" << text;
      ASSERT_TRUE(oracle.IsValid(document)) << schema << "\n" << text;
      ++texts;
    }
  }
  EXPECT_GT(texts, 300u);
}

TEST(TokenMask, AnyTextThatIsAllowedCanBeWritten) {
  const TokenMask masks(ToyTokens(), {kEnd});
  for (uint64_t seed = 1000; seed < 1100; ++seed) {
    RandomSchema random(seed);
    const OrderedJson schema = random.Make();
    const OrderedJson document = random.Document(0);
    const std::string text = random.Write(document);
    if (!SchemaOracle(schema).IsWritable(document)) continue;
    GrammarMatcher matcher(SchemaGrammar(schema));
    std::vector<uint64_t> mask;
    for (size_t at = 0; at < text.size();) {
      masks.AllowedTokens(matcher, &mask);
      std::vector<int32_t> next;  // tokens with which the text continues
      for (int32_t id = 0; id < masks.vocab_size(); ++id) {
        const std::string& bytes = masks.Bytes(id);
        if (bytes.empty() || text.compare(at, bytes.size(), bytes) != 0) continue;
        ASSERT_TRUE(mask[id / 64] >> (id % 64) & 1) << text << " at " << at << ": " << bytes;
        next.push_back(id);
      }
      const std::string& bytes = masks.Bytes(next[random.Below(next.size())]);
      ASSERT_TRUE(matcher.Advance(bytes));
      at += bytes.size();
    }
    EXPECT_TRUE(matcher.CanEnd());
  }
}

TEST(TokenMask, EndTokensAreAllowedExactlyWhereTheTextMayEnd) {
  const TokenMask masks(ToyTokens(), {kEnd});
  GrammarMatcher matcher(SchemaGrammar(R"({"type": "integer"})"));
  std::vector<uint64_t> mask;
  masks.AllowedTokens(matcher, &mask);
  EXPECT_EQ(mask[0] & 1, 0u);
  ASSERT_TRUE(matcher.Advance("1"));
  masks.AllowedTokens(matcher, &mask);
  EXPECT_EQ(mask[0] & 1, 1u);
  ASSERT_TRUE(matcher.Advance("9223372036854775807"));
  masks.AllowedTokens(matcher, &mask);
  EXPECT_EQ(Ids(mask), std::vector<int32_t>{kEnd});
}

constexpr const char* kTokenizers[] = {"smollm", "llama2", "llama3", "gpt2", "qwen2", "mistral"};

Tokenizer GoldenTokenizer(const std::string& name) {
  return Tokenizer::FromFile(std::string(LORIKEET_SOURCE_DIR) + "/tests/golden/tokenizer/" + name +
                             ".json");
}

TEST(TokenBytes, JoinToTheDecodedText) {
  for (const char* name : kTokenizers) {
    const Tokenizer tokenizer = GoldenTokenizer(name);
    const std::vector<std::string> bytes = TokenBytes(tokenizer);
    ASSERT_EQ(bytes.size(), static_cast<size_t>(tokenizer.VocabSize()));
    for (const char* text : {"x {\"a b\": [1,  2]}\n\tq", "x é€😀 \u2581", "x\x01 <0x41>"}) {
      const std::vector<int32_t> ids = tokenizer.Encode(text);
      std::string joined;
      for (const int32_t id : ids) joined += bytes[id];
      const std::string decoded = tokenizer.Decode(ids);
      // The space that a decoder removes from the first token.
      if (joined != decoded) joined.erase(0, 1);
      EXPECT_EQ(joined, decoded) << name;
    }
    for (int32_t id = 0; id < tokenizer.VocabSize(); ++id) {
      EXPECT_EQ(bytes[id].empty(), tokenizer.IsSpecial(id) || tokenizer.IdToToken(id).empty())
          << name << " " << id;
    }
  }
}

TEST(TokenMask, SpecialTokensAreNeverAllowed) {
  for (const char* name : kTokenizers) {
    const Tokenizer tokenizer = GoldenTokenizer(name);
    const TokenMask masks(tokenizer, {});
    GrammarMatcher matcher(Grammar::Compile(AnyJson()));
    size_t specials = 0;
    std::vector<uint64_t> mask;
    for (const char* text : {"", "\"", "<", "\\u0041\xC3"}) {
      ASSERT_TRUE(matcher.Advance(text));
      masks.AllowedTokens(matcher, &mask);
      EXPECT_EQ(mask, BruteForce(masks, matcher)) << name;
      for (int32_t id = 0; id < tokenizer.VocabSize(); ++id) {
        if (!tokenizer.IsSpecial(id)) continue;
        ++specials;
        EXPECT_FALSE(mask[id / 64] >> (id % 64) & 1) << name << " " << id;
      }
    }
    EXPECT_GT(specials, 0u) << name;
  }
}

TEST(TokenMask, ThreadsShareACache) {
  const TokenMask masks(ToyTokens(), {kEnd});
  const GrammarPointer grammar =
      SchemaGrammar(R"({"type": "array", "items": {"enum": ["ab", 12]}})");
  std::vector<int> same(4);
  std::vector<std::thread> threads;
  for (int& ok : same) {
    threads.emplace_back([&] {
      GrammarMatcher matcher(grammar);
      std::vector<uint64_t> mask;
      ok = 1;
      for (const char c : std::string("[\"ab\", 12, \"ab\"")) {
        masks.AllowedTokens(matcher, &mask);
        ok = ok && mask == BruteForce(masks, matcher);
        ok = ok && matcher.Advance(std::string(1, c));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(same, std::vector<int>({1, 1, 1, 1}));
}

TEST(TokenMask, AFullCacheIsDropped) {
  TokenMask small(ToyTokens(), {kEnd});
  small.SetCacheLimit(2000);
  RandomSchema random(7);
  const GrammarPointer grammar = SchemaGrammar(R"({"type": "string", "pattern": "^[ab]{0,40}$"})");
  GrammarMatcher matcher(grammar);
  std::vector<uint64_t> mask;
  for (const char c : std::string("\"abababababababababab")) {
    ASSERT_TRUE(small.AllowedTokens(matcher, &mask));
    EXPECT_EQ(mask, BruteForce(small, matcher));
    ASSERT_TRUE(matcher.Advance(std::string(1, c)));
    EXPECT_LE(small.cached_bytes(), 2000u);
  }
  EXPECT_GT(small.cached_bytes(), 0u);
}

TEST(MaskLogits, DisallowedAndUnknownTokensBecomeImpossible) {
  std::vector<float> logits(70, 1.5F);
  logits[2] = NAN;
  const std::vector<uint64_t> mask = {uint64_t{1} << 3 | uint64_t{1} << 63};
  MaskLogits(logits, mask);
  for (size_t i = 0; i < logits.size(); ++i) {
    EXPECT_EQ(logits[i], i == 3 || i == 63 ? 1.5F : -INFINITY) << i;
  }
}

}  // namespace
}  // namespace lorikeet
