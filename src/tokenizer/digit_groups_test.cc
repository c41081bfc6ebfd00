// Digit groups against their regular expressions.
#include "tokenizer/digit_groups.h"

#include <gtest/gtest.h>

#include <random>

#include "core/utf8.h"
#include "tokenizer/gguf_pre_kind.h"
#include "tokenizer/regex.h"

namespace lorikeet {
namespace {

class DigitGroups : public testing::TestWithParam<const char*> {
 protected:
  void ExpectSame(std::string_view text) const {
    std::vector<Span> expected, found;
    regex_.FindAll(text, &expected);
    find_(text, &found);
    ASSERT_EQ(found, expected) << GetParam() << "\ntext: " << text;
  }
  const Regex regex_{GetParam(), "test"};
  const FindMatches find_ = DigitGroupsOf(GetParam());
};

TEST_P(DigitGroups, EqualTheRegexOnRandomTexts) {
  ASSERT_TRUE(find_);
  const std::vector<std::string> atoms = {"1",  "22", "333",    "4444", "٣",          "\U0001D7D8",
                                          "½",  "²",  "Ⅷ",      "a",    "é",          "e\u0301",
                                          "_",  "-",  ",",      ".",    " ",          "\n",
                                          "日", "Ⓐ",  "\u200D", "ª",    "\U00011F50", "\U0001E4F0"};
  std::mt19937 random(5);
  for (int n = 0; n < 20'000; ++n) {
    std::string text;
    for (unsigned k = 0, size = 1 + random() % 12; k < size; ++k) {
      text += atoms[random() % atoms.size()];
    }
    ExpectSame(text);
  }
}

// Each code point after a number, within one and before one.
TEST_P(DigitGroups, EqualTheRegexOnAllCodePoints) {
  std::string text;
  for (uint32_t code = 0; code < 0x110000; ++code) {
    if (code >= 0xD800 && code < 0xE000) continue;
    text += "1234567";
    AppendUtf8(code, &text);
    text += "12 ";
    AppendUtf8(code, &text);
    if (code % 512 == 511) {
      ExpectSame(text);
      text.clear();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Patterns, DigitGroups, testing::Values(kDigitGroupStarts, kDigitGroups));

// A run of a million digits; by the expressions it would take hours.
TEST(DigitGroupsOf, TakeTimeInProportionToTheText) {
  EXPECT_FALSE(DigitGroupsOf(R"(\d{1,3})"));
  const std::string digits(1'000'000, '7');
  std::vector<Span> starts, groups;
  DigitGroupsOf(kDigitGroupStarts)(digits, &starts);
  DigitGroupsOf(kDigitGroups)(digits, &groups);
  EXPECT_EQ(starts.size(), 333'333u);
  EXPECT_EQ(starts.front(), (Span{1, 1}));
  EXPECT_EQ(groups.size(), 333'334u);
  EXPECT_EQ(groups.front(), (Span{0, 1}));
}

TEST(DigitGroupsOf, ArePatternsOfGgufTokenizers) {
  EXPECT_EQ(PreKindOf("superbpe").splits.back(), kDigitGroupStarts);
  EXPECT_EQ(PreKindOf("tiny_aya").splits.front(), kDigitGroups);
}

}  // namespace
}  // namespace lorikeet
