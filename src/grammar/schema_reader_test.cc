// Schemas that are refused, with the place and the name in the error.
#include "grammar/schema_reader.h"

#include <gtest/gtest.h>

#include "grammar/match_for_test.h"

namespace lorikeet {
namespace {

TEST(SchemaReader, UnsupportedKeywordsAreNamedWithTheirPlace) {
  EXPECT_EQ(ErrorOf(R"({"properties": {"x": {"not": {}}}})"),
            "schema: /properties/x/not: `not` is not supported");
  for (const std::string keyword : {"not",
                                    "if",
                                    "then",
                                    "else",
                                    "patternProperties",
                                    "propertyNames",
                                    "minProperties",
                                    "maxProperties",
                                    "dependentRequired",
                                    "dependentSchemas",
                                    "dependencies",
                                    "contains",
                                    "minContains",
                                    "unevaluatedProperties",
                                    "unevaluatedItems",
                                    "uniqueItems",
                                    "$anchor",
                                    "$dynamicRef",
                                    "additionalItems",
                                    "contentEncoding",
                                    "made-up"}) {
    const OrderedJson schema = {{"type", "array"}, {"items", {{keyword, true}}}};
    EXPECT_EQ(ErrorOf(schema.dump().c_str()),
              "schema: /items/" + keyword + ": `" + keyword + "` is not supported");
  }
}

TEST(SchemaReader, AnnotationsAreIgnored) {
  EXPECT_EQ(
      ErrorOf(R"({"title": 1, "description": "", "default": [], "examples": {}, "$schema": "s",
      "$id": "i", "$comment": "", "deprecated": true, "readOnly": true, "writeOnly": false,
      "uniqueItems": false, "$defs": {"unused": {"not": {}}}})"),
      "");
}

TEST(SchemaReader, WhatCannotBeDoneExactlyIsRefused) {
  EXPECT_EQ(ErrorOf(R"({"format": "email"})"),
            "schema: /format: the format 'email' is not supported; date, time, date-time, uuid and "
            "ipv4 are");
  EXPECT_EQ(ErrorOf(R"({"multipleOf": 0.5})"),
            "schema: /multipleOf: `multipleOf` is supported for integers up to 1000");
  EXPECT_EQ(ErrorOf(R"({"pattern": "(?=a)b"})"),
            "schema: /pattern: look-around in the pattern '(?=a)b' is not supported");
  EXPECT_EQ(ErrorOf(R"({"items": [{}]})"), "schema: /items: a list; use `prefixItems`");
  EXPECT_EQ(ErrorOf(R"({"$ref": "other.json#/a"})").substr(0, 45),
            "schema: /$ref: `$ref` to 'other.json#/a' is n");
  EXPECT_EQ(ErrorOf(R"({"minimum": 0.12345678901234567, "type": "number"})"),
            "schema: /: a bound of `number` with more than 15 digits is not supported");
  EXPECT_EQ(ErrorOf(R"({"const": {"a": 1}, "required": ["a"]})").substr(0, 40),
            "schema: /: `enum` or `const` of arrays o");
}

TEST(SchemaReader, OneOfIsRefusedWhereMembersMayOverlap) {
  for (const char* schema :
       {R"({"oneOf": [{"type": "integer"}, {"type": "number"}]})",
        R"({"oneOf": [{"type": "string", "minLength": 2}, {"const": "a"}]})",
        R"({"oneOf": [{"properties": {"a": {"const": 1}}, "type": "object"},
                      {"properties": {"a": {"const": 2}}, "type": "object"}]})",
        R"({"oneOf": [{"required": ["a"]}, {"type": "string"}]})",
        R"({"oneOf": [{"type": "array", "maxItems": 0}, {"type": "array", "minItems": 1}]})"}) {
    EXPECT_EQ(ErrorOf(schema).substr(0, 46), "schema: /oneOf/1: `oneOf` is supported where n")
        << schema;
  }
}

TEST(SchemaReader, MalformedSchemas) {
  const auto error = [](const char* schema) {
    return ErrorOf(schema, ErrorCode::kInvalidArgument);
  };
  EXPECT_EQ(error("[]"), "schema: /: a schema must be an object, true or false");
  EXPECT_EQ(error(R"({"minLength": -1})"), "schema: /minLength: must be a whole number, 0 or more");
  EXPECT_EQ(error(R"({"maxItems": 1.5})"), "schema: /maxItems: must be a whole number, 0 or more");
  EXPECT_EQ(error(R"({"maxItems": "1"})"), "schema: /maxItems: must be a number");
  EXPECT_EQ(error(R"({"properties": {"a/~b": 1}})"),
            "schema: /properties/a~1~0b: a schema must be an object, true or false");
  EXPECT_EQ(error(R"({"required": [1]})"), "schema: /required/0: must be a string");
  EXPECT_EQ(error(R"({"enum": 1})"), "schema: /enum: must be a list");
  EXPECT_EQ(error(R"({"pattern": 1})"), "schema: /pattern: must be a string");
  EXPECT_EQ(error(R"({"anyOf": []})"), "schema: /anyOf: must not be empty");
  EXPECT_EQ(error(R"({"type": "text"})").substr(0, 25), "schema: /type: not a type");
  EXPECT_EQ(error(R"({"$ref": "#/$defs/a"})"),
            "schema: /$ref: `$ref`: there is no '#/$defs/a' in the schema");
  EXPECT_EQ(error(R"({"anyOf": [{"$ref": "#"}, {"type": "null"}]})"),
            "schema: /: refers to itself with no property or item in between");
}

TEST(SchemaReader, GrowthIsBounded) {
  EXPECT_EQ(ErrorOf(R"({"type": "string", "maxLength": 100000})").substr(0, 40),
            "grammar: more than 100000 states; use a ");
  EXPECT_EQ(ErrorOf(R"({"type": "array", "minItems": 1e300})").substr(0, 33),
            "grammar: more than 100000 states;");
  OrderedJson pairs = OrderedJson::array();  // 2^12 alternatives once multiplied out
  for (int i = 0; i < 12; ++i) {
    pairs.push_back({{"anyOf", {{{"minimum", i}}, {{"maximum", 100 + i}}}}});
  }
  EXPECT_NE(
      ErrorOf(OrderedJson{{"allOf", pairs}}.dump().c_str()).find("more than 512 alternatives"),
      std::string::npos);
  std::string deep = "{}";
  for (int i = 0; i < 60; ++i) deep = R"({"items": )" + deep + "}";
  EXPECT_EQ(ErrorOf(deep.c_str()), "");
  for (int i = 0; i < 60; ++i) deep = R"({"items": )" + deep + "}";
  EXPECT_EQ(ErrorOf(deep.c_str(), ErrorCode::kInvalidArgument),
            "schema: nested deeper than 100 levels");
}

}  // namespace
}  // namespace lorikeet
