#include "grammar/matcher.h"

#include <gtest/gtest.h>

#include "core/random.h"
#include "core/utf8.h"
#include "grammar/match_for_test.h"
#include "grammar/random_schema_for_test.h"

namespace lorikeet {
namespace {

TEST(GrammarMatcher, AToolCall) {
  const auto call = [](const char* name, const char* schema) {
    return Sequence({Literal(std::string("<call>\n{\"name\": \"") + name + "\", \"arguments\": "),
                     JsonSchema(ParseOrderedJson(schema, "test")), Literal("}\n</call>")});
  };
  const GrammarPointer grammar = Grammar::Compile(Repeat(
      Choice({call("add", R"({"properties": {"x": {"type": "integer"}}, "required": ["x"]})"),
              call("ask", R"({"properties": {"q": {"type": "string"}}})")}),
      1, 2));
  const std::string add = "<call>\n{\"name\": \"add\", \"arguments\": {\"x\": 12}}\n</call>";
  const std::string ask = "<call>\n{\"name\": \"ask\", \"arguments\": {\"q\": \"?\"}}\n</call>";
  EXPECT_TRUE(Matches(grammar, add));
  EXPECT_TRUE(Matches(grammar, add + ask));
  EXPECT_FALSE(Matches(grammar, ""));
  EXPECT_FALSE(Matches(grammar, add + ask + add));
  EXPECT_FALSE(
      Matches(grammar, "<call>\n{\"name\": \"add\", \"arguments\": {\"q\": \"?\"}}\n</call>"));
  GrammarMatcher matcher(grammar);
  ASSERT_TRUE(matcher.Advance(add));
  EXPECT_TRUE(matcher.CanEnd());
  EXPECT_FALSE(matcher.IsComplete());
  ASSERT_TRUE(matcher.Advance(ask));
  EXPECT_TRUE(matcher.IsComplete());
}

TEST(GrammarMatcher, PartsThatMatchTheEmptyText) {
  const GrammarPointer grammar =
      Grammar::Compile(Sequence({Repeat(Choice({Literal(""), Literal("a")}), 0, kNoMaximum),
                                 Literal(""), Repeat(Literal("b"), 0, 2)}));
  for (const char* text : {"", "a", "aaa", "ab", "bb", "aabb"}) {
    EXPECT_TRUE(Matches(grammar, text)) << text;
  }
  for (const char* text : {"ba", "bbb", "c"}) EXPECT_FALSE(Matches(grammar, text)) << text;
  EXPECT_THROW(Grammar::Compile(Choice({})), Error);
}

TEST(GrammarMatcher, ARefusedTextChangesNothing) {
  GrammarMatcher matcher(SchemaGrammar(R"({"type": "array", "items": {"type": "boolean"}})"));
  ASSERT_TRUE(matcher.Advance("[tr"));
  EXPECT_FALSE(matcher.Advance("ue, 1"));
  EXPECT_FALSE(matcher.Advance("x"));
  EXPECT_FALSE(matcher.CanEnd());
  GrammarMatcher fork = matcher;
  EXPECT_TRUE(fork.Advance("ue, false]"));
  EXPECT_TRUE(fork.IsComplete());
  EXPECT_TRUE(matcher.Advance("ue"));
  EXPECT_FALSE(matcher.IsComplete());
  EXPECT_TRUE(matcher.Advance(""));
  EXPECT_TRUE(matcher.Advance("]"));
  EXPECT_TRUE(matcher.IsComplete());
}

TEST(GrammarMatcher, AnyJsonIsWhatAParserAccepts) {
  const GrammarPointer value = Grammar::Compile(AnyJson());
  const GrammarPointer object = Grammar::Compile(JsonObject());
  RandomSchema random(1);
  size_t refused = 0;
  for (int i = 0; i < 4000; ++i) {
    const OrderedJson document = random.Any(4);
    std::string text = random.Write(document);
    ASSERT_TRUE(Matches(value, text)) << text;
    ASSERT_EQ(Matches(object, text), document.is_object()) << text;
    if (text.empty()) continue;
    // One byte is changed or left out.
    const size_t at = random.Below(text.size());
    random.Chance(50) ? text.erase(at, 1)
                      : text.replace(at, 1, 1, "\"\\{}[],:019.-eE tn\xE9\x80"[random.Below(21)]);
    const bool accepted = Matches(value, text);
    ASSERT_TRUE(!accepted || Json::accept(text)) << text;
    refused += !accepted;
  }
  EXPECT_GT(refused, 1000u);
}

TEST(GrammarMatcher, StringsHoldValidUtf8AndWholeSurrogatePairs) {
  const GrammarPointer grammar = Grammar::Compile(AnyJson());
  const auto in_string = [&](const std::string& s) { return Matches(grammar, '"' + s + '"'); };
  for (const char* good : {"\\ud83d\\ude00", "\\uD83D\\uDE00", "\\ud7ff", "\\ue000", "\\u0000",
                           "\\/\\b\\f", "\x7F", "\xF4\x8F\xBF\xBF", "\xED\x9F\xBF"}) {
    EXPECT_TRUE(in_string(good)) << good;
  }
  for (const char* bad : {"\\ud83d", "\\ude00", "\\ud83dx", "\\ud83d\\u0041", "\\ud83d\\ud83d",
                          "\\u00g0", "\\a", "\n", "\x1F", "\x80", "\xC0\x80", "\xE0\x80\x80",
                          "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xE2\x82"}) {
    EXPECT_FALSE(in_string(bad)) << bad;
  }
  for (uint32_t lead = 0x80; lead < 0x100; ++lead) {
    for (uint32_t second = 0; second < 0x100; ++second) {
      std::string bytes = {static_cast<char>(lead), static_cast<char>(second)};
      if (lead >= 0xE0) bytes += "\x80";
      if (lead >= 0xF0) bytes += "\x80";
      ASSERT_EQ(in_string(bytes), IsValidUtf8(bytes)) << lead << " " << second;
    }
  }
}

TEST(GrammarMatcher, SizeDoesNotGrowWithTheText) {
  GrammarMatcher matcher(Grammar::Compile(AnyJson()));
  ASSERT_TRUE(matcher.Advance("[0"));
  for (int i = 0; i < 5000; ++i) {
    ASSERT_TRUE(matcher.Advance(", {\"a\": [1, \"x\"]}"));
    ASSERT_LT(matcher.parser().frame_count(), 300u);
  }
  ASSERT_TRUE(matcher.Advance("]"));
  EXPECT_TRUE(matcher.IsComplete());
}

TEST(GrammarMatcher, DeepNesting) {
  GrammarMatcher matcher(Grammar::Compile(AnyJson()));
  ASSERT_TRUE(matcher.Advance(std::string(50'000, '[')));
  ASSERT_TRUE(matcher.Advance("1"));
  EXPECT_FALSE(matcher.Advance(std::string(50'001, ']')));
  ASSERT_TRUE(matcher.Advance(std::string(50'000, ']')));
  EXPECT_TRUE(matcher.IsComplete());
}

TEST(GrammarMatcher, AmbiguityDoesNotMultiply) {
  // Every level can be read in two ways: 2^200 paths.
  const GrammarPointer grammar = SchemaGrammar(R"({"$ref": "#/$defs/t", "$defs": {"t": {"anyOf": [
      {"type": "object", "properties": {"a": {"$ref": "#/$defs/t"}}},
      {"type": "object", "properties": {"a": {"$ref": "#/$defs/t"}, "b": {"type": "null"}}}]}}})");
  GrammarMatcher matcher(grammar);
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(matcher.Advance("{\"a\": "));
  EXPECT_LE(matcher.parser().items().size(), 4u);
  ASSERT_TRUE(matcher.Advance("{" + std::string(201, '}')));
  EXPECT_TRUE(matcher.IsComplete());
}

}  // namespace
}  // namespace lorikeet
