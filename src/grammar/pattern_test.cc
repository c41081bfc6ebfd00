#include "grammar/pattern.h"

#include <gtest/gtest.h>

#include <chrono>
#include <regex>

#include "core/error.h"
#include "core/random.h"
#include "core/utf8.h"

namespace lorikeet {
namespace {

bool Matches(std::string_view pattern, std::string_view text) {
  return PatternTexts(pattern, "test").Matches(text);
}

// A random pattern over a few letters, with the syntax that std::regex shares.
std::string RandomPattern(const RandomStream& stream, uint64_t* i, int depth) {
  const auto below = [&](uint64_t n) { return stream.Below((*i)++, n); };
  const auto inner = [&] { return RandomPattern(stream, i, depth - 1); };
  if (depth == 0) {
    static const char* const atoms[] = {"a",     "b",   "1",   ".",      "[ab]", "[^a]",
                                        "[0-9]", "\\d", "\\w", "[a\\]]", "\\.",  "\\s"};
    return atoms[below(12)];
  }
  static const char* const quantifiers[] = {"*", "+", "?", "{2}", "{1,2}", "{0,}", "*?"};
  switch (below(6)) {
    case 0:
      return inner() + "|" + inner();
    case 1:
      return "(" + inner() + ")" + quantifiers[below(7)];
    case 2:
      return "(?:" + inner() + ")";
    case 3:
      return "^" + inner();
    case 4:
      return inner() + "$";
    default:
      return inner() + inner();
  }
}

TEST(Pattern, AgreesWithAnotherImplementation) {
  const RandomStream stream(5, "pattern");
  uint64_t i = 0;
  size_t matched = 0, failed = 0;
  for (int round = 0; round < 1500; ++round) {
    const std::string pattern = RandomPattern(stream, &i, 3);
    const std::regex reference(pattern);
    const ByteDfa texts = PatternTexts(pattern, "test");
    for (int k = 0; k < 12; ++k) {
      std::string text;
      for (uint64_t size = stream.Below(i++, 6); size-- > 0;)
        text += "aab1. \n]"[stream.Below(i++, 8)];
      const bool expected = std::regex_search(text, reference);
      ASSERT_EQ(texts.Matches(text), expected) << pattern << " on '" << text << "'";
      ++(expected ? matched : failed);
    }
  }
  EXPECT_GT(matched, 3000u);
  EXPECT_GT(failed, 3000u);
}

TEST(Pattern, AnchorsHoldAtTheEndsOnly) {
  EXPECT_TRUE(Matches("^$", ""));
  EXPECT_TRUE(Matches("$^", ""));
  EXPECT_FALSE(Matches("$^", "a"));
  EXPECT_FALSE(Matches("a^b", "ab"));
  EXPECT_FALSE(Matches("^a$", "a\n"));
  EXPECT_TRUE(Matches("(^a|b)c", "xbc"));
  EXPECT_FALSE(Matches("(^a|b)c", "xac"));
  EXPECT_TRUE(Matches("", "anything"));
}

TEST(Pattern, CharactersAreCodePoints) {
  EXPECT_TRUE(Matches("^.$", "é"));
  EXPECT_TRUE(Matches("^.$", "😀"));
  EXPECT_FALSE(Matches("^.$", "\xF0\x9F\x98"));
  EXPECT_FALSE(Matches("^.$", "\u2028"));
  EXPECT_TRUE(Matches("^[à-ÿ]+$", "éà"));
  EXPECT_TRUE(
      Matches("^\\u{1F600}\\ud83d\\ude01\\u00e9\\x41\\cA\\0$", std::string("😀😁éA\x01\0", 13)));
  EXPECT_TRUE(Matches("^\\s\\S$", "\u00A0x"));
  for (const uint32_t edge : {0x7Fu, 0x80u, 0x7FFu, 0x800u, 0xD7FFu, 0xE000u, 0xFFFFu, 0x10000u,
                              0x3FFFFu, 0x40000u, 0x10FFFFu}) {
    for (uint32_t code = std::max(edge, 70u) - 70; code <= std::min(edge + 70, 0x10FFFFu); ++code) {
      if (code >= 0xD800 && code < 0xE000) continue;
      std::string text, pattern = "^[";
      AppendUtf8(code, &text);
      pattern += "\\u{" + fmt::format("{:x}", edge) + "}-\\u{10ffff}]$";
      static std::string last;
      static ByteDfa texts;
      if (last != pattern) texts = PatternTexts(last = pattern, "test");
      ASSERT_EQ(texts.Matches(text), code >= edge) << code << " " << pattern;
    }
  }
}

TEST(Pattern, RefusedByName) {
  const auto error = [](const char* pattern) -> std::string {
    try {
      PatternTexts(pattern, "where");
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  for (const auto& [pattern, what] : {std::pair("a(?=b)", "look-around"),
                                      {"a(?!b)", "look-around"},
                                      {"(?<=a)b", "look-around"},
                                      {"(a)\\1", "a back-reference"},
                                      {"(?<n>a)\\k<n>", "a back-reference"},
                                      {"\\ba", "the word boundary \\b"},
                                      {"\\p{L}", "the property class \\p"},
                                      {"a{10001}", "a quantifier above 10000"},
                                      {"\\ud800", "a lone surrogate"}}) {
    EXPECT_EQ(error(pattern).find(std::string("where: ") + what + " in the pattern"), 0u)
        << error(pattern);
  }
  for (const char* pattern :
       {"(a", "a)", "[a", "*a", "a**", "a{2,1}", "a{x}", "\\", "[b-a]", "(?a)", "\\q", "]",
        "[\\d-z]", "\\u12", "\\xg0", "\\u{110000}", "(?<n"}) {
    EXPECT_EQ(error(pattern).find("where: the pattern"), 0u) << pattern << ": " << error(pattern);
  }
  EXPECT_NE(error("(a|b)*a(a|b){14}").find("states"), std::string::npos);
  EXPECT_NE(error("((a{100}){100}){100}").find("too large"), std::string::npos);
}

TEST(Pattern, DatesAreThoseOfTheCalendar) {
  const ByteDfa dates = PatternTexts(*FormatPattern("date"), "test");
  size_t valid = 0;
  for (const int year : {0, 4, 100, 400, 1900, 1999, 2000, 2023, 2024, 2100, 9996, 9999}) {
    for (int month = 0; month <= 13; ++month) {
      for (int day = 0; day <= 32; ++day) {
        const bool expected =
            std::chrono::year_month_day(std::chrono::year(year), std::chrono::month(month),
                                        std::chrono::day(day))
                .ok();
        const std::string text = fmt::format("{:04}-{:02}-{:02}", year, month, day);
        ASSERT_EQ(dates.Matches(text), expected) << text;
        valid += expected;
      }
    }
  }
  EXPECT_EQ(valid, 12u * 365 + 6);
}

TEST(Pattern, Formats) {
  const auto matches = [](const char* format, const char* text) {
    return PatternTexts(FormatPattern(format).value(), "test").Matches(text);
  };
  EXPECT_TRUE(matches("time", "23:59:59Z"));
  EXPECT_TRUE(matches("time", "00:00:00.123-23:59"));
  EXPECT_FALSE(matches("time", "24:00:00Z"));
  EXPECT_FALSE(matches("time", "00:00:00"));
  EXPECT_TRUE(matches("date-time", "2024-02-29T00:00:00Z"));
  EXPECT_FALSE(matches("date-time", "2023-02-29T00:00:00Z"));
  EXPECT_FALSE(matches("date-time", "2023-02-28 00:00:00Z"));
  EXPECT_TRUE(matches("uuid", "123e4567-E89b-12d3-a456-426614174000"));
  EXPECT_FALSE(matches("uuid", "123e4567e89b12d3a456426614174000"));
  EXPECT_TRUE(matches("ipv4", "255.0.10.199"));
  for (const char* bad : {"256.0.0.0", "1.2.3", "01.2.3.4", "1.2.3.4.5"}) {
    EXPECT_FALSE(matches("ipv4", bad)) << bad;
  }
  EXPECT_FALSE(FormatPattern("email").has_value());
}

}  // namespace
}  // namespace lorikeet
