// Schemas as grammars: keyword by keyword, and random ones against an independent validator.
#include "grammar/schema_rules.h"

#include <gtest/gtest.h>

#include "core/file.h"
#include "grammar/match_for_test.h"
#include "grammar/random_schema_for_test.h"
#include "grammar/schema_oracle_for_test.h"

namespace lorikeet {
namespace {

struct Case {
  const char* schema;
  std::vector<const char*> accepted, refused;
};

void ExpectCase(const Case& c) {
  SCOPED_TRACE(c.schema);
  const GrammarPointer grammar = SchemaGrammar(c.schema);
  for (const char* text : c.accepted) EXPECT_TRUE(Matches(grammar, text)) << text;
  for (const char* text : c.refused) EXPECT_FALSE(Matches(grammar, text)) << text;
}

TEST(SchemaRules, Types) {
  ExpectCase({R"({"type": "null"})", {"null"}, {"nul", "nulll", "0", ""}});
  ExpectCase({R"({"type": "boolean"})", {"true", "false"}, {"True", "1", "null"}});
  ExpectCase(
      {R"({"type": "integer"})", {"0", "-7", "12"}, {"-0", "01", "1.0", "1e3", "+1", "\"1\""}});
  ExpectCase(
      {R"({"type": "number"})", {"0", "-0", "1.50", "1e3", "2E-07"}, {".5", "1.", "1e", "01"}});
  ExpectCase({R"({"type": "string"})", {R"("")", R"("a\n\u00e9")"}, {"a", R"("a)", R"("\x")"}});
  ExpectCase({R"({"type": "array"})", {"[]", "[1, {}]"}, {"[1,]", "{}"}});
  ExpectCase(
      {R"({"type": "object"})", {"{}", R"({"a": [null]})"}, {"[]", R"({"a"})", R"({a: 1})"}});
  ExpectCase({R"({"type": ["string", "null"]})", {"null", R"("x")"}, {"1", "true"}});
  ExpectCase({R"({"type": "string", "nullable": true})", {"null", R"("x")"}, {"1"}});
  ExpectCase({"true", {"1", "{}", "[[]]"}, {""}});
  ExpectCase({"{}", {"1", R"({"a": 1})"}, {""}});
}

TEST(SchemaRules, WithoutATypeTheKeywordsTellWhatIsWritten) {
  ExpectCase({R"({"minLength": 2})", {R"("ab")"}, {R"("a")", "1", "null"}});
  ExpectCase(
      {R"({"properties": {"a": {"minimum": 3}}})", {R"({"a": 3})", "{}"}, {R"({"a": "x"})", "1"}});
}

TEST(SchemaRules, Values) {
  ExpectCase({R"({"enum": ["a", "ab", 1, null, 2.5]})",
              {R"("a")", R"("ab")", "1", "null", "2.5"},
              {R"("abc")", R"("")", "1.0", "2"}});
  ExpectCase(
      {R"({"const": "q\"\\\u0001\né"})", {R"("q\"\\\u0001\né")"}, {R"("q\"\\\u0001\n\u00e9")"}});
  ExpectCase({R"({"const": {"a": [1, {}], "b": "x"}})",
              {R"({"a":[1,{}],"b":"x"})", "{ \"a\": [\n  1, {}\n], \"b\": \"x\" }"},
              {R"({"b":"x","a":[1,{}]})", R"({"a":[1,{}]})"}});
  ExpectCase({R"({"enum": ["a", "bcd", 1, 7], "minLength": 2, "minimum": 3})",
              {R"("bcd")", "7"},
              {R"("a")", "1"}});
  ExpectCase({R"({"type": "string", "enum": ["a", 1]})", {R"("a")"}, {"1"}});
  ExpectCase(
      {R"({"allOf": [{"enum": [1, 2, 3]}, {"enum": [3.0, 2, 5]}]})", {"2", "3"}, {"1", "5"}});
}

TEST(SchemaRules, Objects) {
  const char* schema = R"({"type": "object", "required": ["a", "c"], "properties":
      {"a": {"type": "integer"}, "b": {"type": "integer"}, "c": {"type": "integer"}}})";
  ExpectCase(
      {schema,
       {R"({"a": 1, "b": 2, "c": 3})", R"({"a":1,"c":3})"},
       {"{}", R"({"a": 1})", R"({"a": 1, "b": 2})", R"({"c": 3, "a": 1})",
        R"({"a": 1, "c": 3, "d": 4})", R"({"a": 1, "a": 1, "c": 3})", R"({"a": 1 "c": 3})"}});
  ExpectCase({R"({"properties": {"a": {"type": "null"}, "b": {"type": "null"}}})",
              {"{}", R"({"a": null})", R"({"b": null})", R"({"a": null, "b": null})"},
              {R"({"b": null, "a": null})", R"({, "b": null})", R"({"a": null,})"}});
  ExpectCase(
      {R"({"properties": {"ab": {"type": "null"}}, "additionalProperties": {"type": "integer"}})",
       {"{}", R"({"ab": null})", R"({"ab": null, "x": 1, "y": 2})", R"({"a": 1, "abc": 2})"},
       {R"({"ab": 1})", R"({"x": null})", R"({"\u0061b": 1})", R"({"x": 1, "ab": null})"}});
  ExpectCase(
      {R"({"type": "object", "additionalProperties": false})", {"{}"}, {"{ }", R"({"a": 1})"}});
  ExpectCase({R"({"required": ["x"], "additionalProperties": {"type": "null"}})",
              {R"({"x": null})", R"({"x": null, "y": null})"},
              {"{}", R"({"y": null})", R"({"x": 1})"}});
}

TEST(SchemaRules, Arrays) {
  ExpectCase({R"({"items": {"type": "integer"}, "minItems": 1, "maxItems": 3})",
              {"[1]", "[1, 2]", "[1,2,3]"},
              {"[]", "[1,2,3,4]", R"(["a"])", "[1 2]"}});
  ExpectCase({R"({"type": "array", "minItems": 2})", {"[1, null]", "[1,2,3,4,5]"}, {"[]", "[1]"}});
  ExpectCase({R"({"prefixItems": [{"type": "integer"}, {"type": "null"}]})",
              {"[]", "[1]", "[1, null]"},
              {"[null]", "[1, 2]", "[1, null, 3]"}});
  ExpectCase({R"({"prefixItems": [{"type": "integer"}], "items": {"type": "null"}, "minItems": 2})",
              {"[1, null]", "[1, null, null]"},
              {"[1]", "[1, 2]"}});
  ExpectCase({R"({"type": "array", "items": false})", {"[]"}, {"[1]"}});
  ExpectCase({R"({"type": "array", "maxItems": 0})", {"[]"}, {"[1]"}});
}

TEST(SchemaRules, Strings) {
  ExpectCase({R"({"type": "string", "minLength": 1, "maxLength": 2})",
              {R"("a")", R"("é😀")", R"("\ud83d\ude00b")", R"("\n\"")"},
              {R"("")", R"("abc")", R"("\ud83d\ude00bc")"}});
  ExpectCase({R"({"pattern": "^[a-c]+$"})", {R"("abc")"}, {R"("")", R"("abd")", R"("\u0061")"}});
  ExpectCase({R"({"pattern": "^a", "minLength": 2, "maxLength": 3})",
              {R"("ab")", R"("aéa")"},
              {R"("a")", R"("abcd")", R"("ba")"}});
  ExpectCase({R"({"allOf": [{"pattern": "a"}, {"pattern": "b"}], "type": "string"})",
              {R"("ab")", R"("xbya")"},
              {R"("a")", R"("b")"}});
  ExpectCase({R"({"pattern": "^[^x]$"})",
              {R"("\"")", R"("\\")", R"("\n")", R"("\u0001")", R"("/")"},
              {R"("x")", R"("\u000a")", R"("\/")"}});
  ExpectCase({R"({"format": "date"})", {R"("2024-02-29")"}, {R"("2023-02-29")", R"("2024-2-29")"}});
  ExpectCase(
      {R"({"format": "date-time"})", {R"("2024-02-29T23:59:59.5+01:00")"}, {R"("2024-02-29")"}});
}

TEST(SchemaRules, Combinations) {
  ExpectCase({R"({"anyOf": [{"type": "integer"}, {"properties": {"a": {}}, "required": ["a"]}]})",
              {"1", R"({"a": []})"},
              {"{}", "null"}});
  ExpectCase(
      {R"({"oneOf": [{"type": "integer", "maximum": 3}, {"type": "number", "exclusiveMinimum": 3},
                            {"type": "string"}]})",
       {"3", "4.5", R"("")"},
       {"2.5", "null"}});
  ExpectCase({R"({"allOf": [{"properties": {"a": {"type": "integer"}}, "required": ["a"]},
                            {"properties": {"b": {"type": "null"}, "a": {"minimum": 5}}}]})",
              {R"({"a": 5})", R"({"a": 7, "b": null})"},
              {R"({"a": 4})", "{}", R"({"a": 7, "b": 1})"}});
  ExpectCase({R"({"allOf": [{"properties": {"a": {}, "b": {}}, "additionalProperties": false},
                            {"properties": {"b": {"type": "null"}, "c": {}}}]})",
              {R"({"a": 1})", R"({"a": 1, "b": null})"},
              {R"({"c": 1})", R"({"b": 1})"}});
  ExpectCase({R"({"type": "object", "properties": {"a": {"type": "null"}, "b": {"type": "null"}},
                  "anyOf": [{"required": ["a"]}, {"required": ["b"]}]})",
              {R"({"a": null})", R"({"b": null})", R"({"a": null, "b": null})"},
              {"{}"}});
}

TEST(SchemaRules, OneOfWithConstantsThatTellMembersApart) {
  ExpectCase({R"({"oneOf": [
      {"properties": {"kind": {"const": "a"}, "x": {"type": "integer"}}, "required": ["kind"],
       "type": "object"},
      {"properties": {"kind": {"const": "b"}, "y": {"type": "integer"}}, "required": ["kind"],
       "type": "object"}]})",
              {R"({"kind": "a", "x": 1})", R"({"kind": "b"})"},
              {R"({"kind": "a", "y": 1})", R"({"kind": "c"})"}});
}

TEST(SchemaRules, References) {
  ExpectCase({R"({"$ref": "#/$defs/tree", "$defs": {"tree": {"type": "object", "required": ["v"],
      "properties": {"v": {"type": "integer"}, "children": {"type": "array",
      "items": {"$ref": "#/$defs/tree"}}}}}})",
              {R"({"v": 1})", R"({"v": 1, "children": [{"v": 2, "children": []}, {"v": 3}]})"},
              {R"({"v": 1, "children": [2]})", "{}"}});
  ExpectCase({R"({"type": "array", "items": {"$ref": "#"}})", {"[]", "[[], [[]]]"}, {"[1]"}});
  ExpectCase({R"({"$ref": "#/definitions/a~1b%20c", "definitions": {"a/b c": {"const": 1}}})",
              {"1"},
              {"2"}});
  // Both sides go down the same tree: merged sets recur.
  ExpectCase({R"({"allOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}], "$defs": {
      "a": {"type": "object", "properties": {"n": {"$ref": "#/$defs/a"}, "x": {"type": "integer"}}},
      "b": {"type": "object", "properties": {"n": {"$ref": "#/$defs/b"}, "x": {"minimum": 2}}}}})",
              {R"({"n": {"n": {"x": 2}}, "x": 9})"},
              {R"({"n": {"x": 1}})"}});
}

TEST(SchemaRules, ContradictionsAreLeftOut) {
  ExpectCase({R"({"properties": {"a": false, "b": {"type": "null"}}})",
              {"{}", R"({"b": null})"},
              {R"({"a": 1})"}});
  ExpectCase(
      {R"({"anyOf": [{"type": "string", "minLength": 3, "maxLength": 2}, {"type": "null"}]})",
       {"null"},
       {R"("ab")"}});
  for (const char* schema :
       {R"({"type": "integer", "minimum": 3, "maximum": 2})", "false", R"({"enum": []})",
        R"({"allOf": [{"type": "string"}, {"type": "null"}]})",
        R"({"type": "array", "items": false, "minItems": 1})",
        R"({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]})"}) {
    EXPECT_EQ(ErrorOf(schema, ErrorCode::kInvalidArgument).substr(0, 30),
              "grammar: no text satisfies it;")
        << schema;
  }
}

TEST(SchemaRules, WhiteSpaceIsBounded) {
  const GrammarPointer grammar = SchemaGrammar(R"({"type": "object", "properties": {"a": {}}})");
  EXPECT_TRUE(Matches(grammar, "{\n" + std::string(64, ' ') + "\"a\": 1\n}"));
  EXPECT_TRUE(Matches(grammar, "{\n" + std::string(16, '\t') + "\"a\":1 }"));
  EXPECT_FALSE(Matches(grammar, "{\n" + std::string(65, ' ') + "\"a\":1}"));
  EXPECT_FALSE(Matches(grammar, "{\n" + std::string(17, '\t') + "\"a\":1}"));
  for (const char* text : {" {}", "{} ", "{\n}", "{\"a\" :1}", "{\"a\":  1}", "{\"a\":\n1}",
                           "{  \"a\":1}", "{\n\n\"a\":1}", "{\r\n\"a\":1}"}) {
    EXPECT_FALSE(Matches(grammar, text)) << text;
  }
}

// tools/grammar_goldens.py: what Python's `jsonschema` finds valid.
TEST(SchemaRules, AgreesWithJsonschema) {
  const std::string path = std::string(LORIKEET_SOURCE_DIR) + "/tests/golden/grammar/cases.json";
  size_t texts = 0;
  for (const OrderedJson& item : ParseOrderedJson(ReadFile(path), path)) {
    const GrammarPointer grammar = SchemaGrammar(item["schema"]);
    for (const std::string text : item["valid"]) EXPECT_TRUE(Matches(grammar, text)) << text;
    for (const std::string text : item["invalid"]) EXPECT_FALSE(Matches(grammar, text)) << text;
    texts += item["valid"].size() + item["invalid"].size();
  }
  EXPECT_GT(texts, 300u);
}

// For every document: the grammar accepts exactly what the validator finds valid and in order.
TEST(SchemaRules, RandomSchemasAgreeWithAValidator) {
  size_t schemas = 0, valid = 0, invalid = 0;
  for (uint64_t seed = 0; seed < 1500; ++seed) {
    RandomSchema random(seed);
    const OrderedJson schema = random.Make();
    GrammarPointer grammar;
    try {
      grammar = SchemaGrammar(schema);
    } catch (const Error& e) {  // nothing satisfies it
      ASSERT_EQ(e.code(), ErrorCode::kInvalidArgument) << e.what() << schema;
    }
    ++schemas;
    const SchemaOracle oracle(schema);
    for (int i = 0; i < 8; ++i) {
      const OrderedJson document = random.Document(i % 4 * 5);
      const std::string text = random.Write(document);
      const bool expected = oracle.IsWritable(document);
      ASSERT_EQ(grammar && Matches(grammar, text), expected) << schema << "\n" << text;
      ++(expected ? valid : invalid);
    }
  }
  EXPECT_EQ(schemas, 1500u);
  EXPECT_GT(valid, 3000u);
  EXPECT_GT(invalid, 3000u);
}

}  // namespace
}  // namespace lorikeet
