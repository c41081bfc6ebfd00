#include "grammar/number_range.h"

#include <gtest/gtest.h>

#include "core/random.h"
#include "grammar/match_for_test.h"

namespace lorikeet {
namespace {

TEST(NumberRange, IntegersOfEveryRangeAndMultiple) {
  const RandomStream stream(3, "ranges");
  uint64_t i = 0;
  const auto bound = [&] { return static_cast<int64_t>(stream.Below(i++, 2401)) - 1200; };
  for (int round = 0; round < 60; ++round) {
    const int64_t low = bound(), high = low + static_cast<int64_t>(stream.Below(i++, 300));
    const auto multiple = static_cast<int64_t>(1 + stream.Below(i++, round % 3 == 0 ? 30 : 1));
    OrderedJson schema = {{"type", "integer"}, {"multipleOf", multiple}};
    const bool has_low = round % 5 != 0, has_high = round % 7 != 0, exclusive = round % 2 == 0;
    if (has_low) schema[exclusive ? "exclusiveMinimum" : "minimum"] = exclusive ? low - 1 : low;
    if (has_high) schema[exclusive ? "exclusiveMaximum" : "maximum"] = exclusive ? high + 1 : high;
    GrammarPointer grammar;
    try {
      grammar = SchemaGrammar(schema);
    } catch (const Error&) {  // no multiple lies within
    }
    for (int64_t value = -1600; value <= 1600; ++value) {
      const bool expected =
          (!has_low || value >= low) && (!has_high || value <= high) && value % multiple == 0;
      ASSERT_EQ(grammar && Matches(grammar, std::to_string(value)), expected) << value << schema;
    }
  }
}

TEST(NumberRange, Decimals) {
  const RandomStream stream(4, "ranges");
  uint64_t i = 0;
  const auto bound = [&] { return static_cast<double>(stream.Below(i++, 6400)) / 16 - 200; };
  for (int round = 0; round < 60; ++round) {
    const double low = bound(), high = low + static_cast<double>(stream.Below(i++, 800)) / 16;
    const bool has_low = round % 5 != 0, has_high = round % 7 != 1, exclusive = round % 2 == 0;
    OrderedJson schema = {{"type", "number"}};
    if (has_low) schema[exclusive ? "exclusiveMinimum" : "minimum"] = low;
    if (has_high) schema[exclusive ? "exclusiveMaximum" : "maximum"] = high;
    GrammarPointer grammar;
    try {
      grammar = SchemaGrammar(schema);
    } catch (const Error&) {
      ASSERT_TRUE(exclusive && low == high) << schema;
    }
    for (int64_t step = -300 * 16; step <= 300 * 16; ++step) {
      const double value = static_cast<double>(step) / 16;
      const bool above = !has_low || (exclusive ? value > low : value >= low);
      const bool below = !has_high || (exclusive ? value < high : value <= high);
      const std::string text = fmt::format("{}", value == 0 ? 0.0 : value);
      ASSERT_EQ(grammar && Matches(grammar, text), above && below) << text << schema;
    }
  }
}

TEST(NumberRange, BoundsOfManyDigitsAndForms) {
  const auto accepts = [](const char* schema, const char* text) {
    return Matches(SchemaGrammar(schema), text);
  };
  const char* wide =
      R"({"type": "integer", "minimum": -9223372036854775808, "maximum": 18446744073709551615})";
  EXPECT_TRUE(accepts(wide, "-9223372036854775808"));
  EXPECT_FALSE(accepts(wide, "-9223372036854775809"));
  EXPECT_TRUE(accepts(wide, "18446744073709551615"));
  EXPECT_FALSE(accepts(wide, "18446744073709551616"));
  EXPECT_TRUE(accepts(R"({"type": "integer", "minimum": 1.5, "maximum": 3.5})", "2"));
  EXPECT_FALSE(accepts(R"({"type": "integer", "minimum": 1.5, "maximum": 3.5})", "1"));
  EXPECT_FALSE(accepts(R"({"type": "integer", "minimum": 1.5, "maximum": 3.5})", "4"));
  EXPECT_TRUE(
      accepts(R"({"type": "integer", "minimum": 0, "maximum": 1e300})", "99999999999999999999"));
  const char* unit = R"({"type": "number", "minimum": 0, "exclusiveMaximum": 1})";
  for (const char* text : {"0", "0.0", "0.5", "0.99999999999999", "0.00000000000001"}) {
    EXPECT_TRUE(accepts(unit, text)) << text;
  }
  for (const char* text : {"1", "1.0", "-0", "-0.0", "-0.1", "1e-3", "0.", "00.5"}) {
    EXPECT_FALSE(accepts(unit, text)) << text;
  }
  EXPECT_TRUE(accepts(R"({"type": "number", "minimum": 1e-7})", "0.0000001"));
  EXPECT_FALSE(accepts(R"({"type": "number", "minimum": 1e-7})", "0.00000009"));
  EXPECT_TRUE(accepts(R"({"type": "number", "multipleOf": 5})", "-15"));
  EXPECT_FALSE(accepts(R"({"type": "number", "multipleOf": 5})", "7.5"));
}

TEST(NumberRange, DecimalsCompareByValue) {
  const std::vector<double> values = {-1e300, -12.5, -12, -1, -0.5, -1e-9, 0,    1e-9,
                                      0.05,   0.5,   1,   9,  10,   1e17,  1e300};
  for (size_t a = 0; a < values.size(); ++a) {
    for (size_t b = 0; b < values.size(); ++b) {
      const int order = Compare(Decimal::Of(values[a]), Decimal::Of(values[b]));
      EXPECT_EQ(order < 0 ? -1 : order > 0, a < b ? -1 : a > b) << values[a] << " " << values[b];
    }
  }
  EXPECT_EQ(Compare(Decimal::Of(100.0), Decimal::Of(100)), 0);
  EXPECT_EQ(Compare(Decimal::Of(-0.0), Decimal::Of(0u)), 0);
}

}  // namespace
}  // namespace lorikeet
