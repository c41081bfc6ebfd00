// Scanners against their regular expressions.
#include "tokenizer/scanners.h"

#include <gtest/gtest.h>

#include <random>

#include "core/file.h"
#include "core/utf8.h"
#include "tokenizer/regex.h"

namespace lorikeet {
namespace {

std::vector<Span> ByRegex(const Regex& regex, std::string_view text) {
  std::vector<Span> pieces;
  regex.FindAll(text, &pieces);
  return pieces;
}

std::vector<Span> ByScanner(Scanner scan, std::string_view text) {
  std::vector<Span> pieces;
  if (!text.empty()) scan(text, {0, static_cast<uint32_t>(text.size())}, &pieces);
  return pieces;
}

void ExpectSame(const char* pattern, const std::vector<std::string>& texts) {
  const Regex regex(pattern, "test");
  const Scanner scan = ScannerOf(pattern);
  ASSERT_NE(scan, nullptr);
  for (const std::string& text : texts) {
    ASSERT_EQ(ByScanner(scan, text), ByRegex(regex, text)) << pattern << "\ntext: " << text;
  }
}

// Random strings of characters that the patterns distinguish.
std::vector<std::string> RandomTexts() {
  const std::vector<std::string> atoms = {" ",
                                          " ",
                                          "\t",
                                          "\n",
                                          "\r",
                                          "\r\n",
                                          "\v",
                                          "\u0085",
                                          "\u00A0",
                                          "\u2003",
                                          "\u3000",
                                          "\u180E",
                                          "a",
                                          "Z",
                                          "é",
                                          "e\u0301",
                                          "日",
                                          "ǅ",
                                          "ª",
                                          "1",
                                          "22",
                                          "٣",
                                          "½",
                                          "Ⅷ",
                                          "'",
                                          "'s",
                                          "'S",
                                          "'ſ",
                                          "'t",
                                          "'re",
                                          "'RE",
                                          "'ve",
                                          "'vE",
                                          "'m",
                                          "'ll",
                                          "'lL",
                                          "'d",
                                          "'l",
                                          "'r",
                                          "-",
                                          "_",
                                          "...",
                                          "😀",
                                          "\u200B",
                                          "\u200D",
                                          "\uFFFD",
                                          std::string(1, '\0'),
                                          "\x7F",
                                          "$",
                                          "\U0001D7D8",
                                          "\U00010400"};
  std::mt19937 random(3);
  std::vector<std::string> texts;
  for (int n = 0; n < 4000; ++n) {
    std::string text;
    for (unsigned k = 0, size = random() % 12; k < size; ++k)
      text += atoms[random() % atoms.size()];
    texts.push_back(text);
  }
  return texts;
}

// Each code point alone and between letters: scanners and PCRE2 must have the same classes.
std::vector<std::string> AllCodePoints() {
  std::vector<std::string> texts;
  std::string text;
  for (uint32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    AppendUtf8(c, &text);
    if (c % 3 == 0) text += " x";
    if (c % 512 == 511) texts.push_back(std::exchange(text, ""));
  }
  return texts;
}

class Scanners : public testing::TestWithParam<const char*> {};
TEST_P(Scanners, EqualTheRegexOnRandomTexts) { ExpectSame(GetParam(), RandomTexts()); }
TEST_P(Scanners, EqualTheRegexOnAllCodePoints) { ExpectSame(GetParam(), AllCodePoints()); }
TEST_P(Scanners, EqualTheRegexOnSource) {
  const std::string root = std::string(LORIKEET_SOURCE_DIR);
  ExpectSame(GetParam(), {ReadFile(root + "/src/tokenizer/scanners_test.cc"),
                          ReadFile(root + "/tests/golden/tokenizer/variants.json")});
}
INSTANTIATE_TEST_SUITE_P(Patterns, Scanners,
                         testing::Values(kGpt2Pattern, kLlama3Pattern, kQwen2Pattern));

TEST(ScannersLookup, OtherPatternsHaveNone) { EXPECT_EQ(ScannerOf(R"(\s+)"), nullptr); }

}  // namespace
}  // namespace lorikeet
