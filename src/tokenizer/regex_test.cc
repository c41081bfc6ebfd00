#include "tokenizer/regex.h"

#include <gtest/gtest.h>

#include "core/error.h"

namespace lorikeet {
namespace {

std::vector<std::string> Matches(const char* pattern, const std::string& text) {
  std::vector<Span> spans;
  Regex(pattern, "test").FindAll(text, &spans);
  std::vector<std::string> matches;
  for (const Span& s : spans) matches.push_back(text.substr(s.begin, s.end - s.begin));
  return matches;
}

using Strings = std::vector<std::string>;

TEST(Regex, ReadsOnigurumaWhereItDiffersFromPcre) {
  EXPECT_EQ(Matches(R"(\h+)", "xyz 1aF"), (Strings{"1aF"}));               // hex digits
  EXPECT_EQ(Matches(R"(\s)", "a\u180E\u2003"), (Strings{"\u2003"}));       // U+180E is not a space
  EXPECT_EQ(Matches(R"(\w+)", "e\u0301a-b"), (Strings{"e\u0301a", "b"}));  // marks are word chars
  EXPECT_EQ(Matches(R"(a{2}+)", "aaaaa"), (Strings{"aaaa"}));  // repeated, not possessive
  EXPECT_EQ(Matches(R"(xa{,2})", "xaaa"), (Strings{"xaa"}));
  EXPECT_EQ(Matches(R"((?m:a.b))", "a\nb"), (Strings{"a\nb"}));  // dot matches newline
  EXPECT_EQ(Matches(R"(^b$)", "a\nb\nc"), (Strings{"b"}));       // lines, always
  EXPECT_EQ(Matches(R"(\v)", "\n\v"), (Strings{"\v"}));
  EXPECT_EQ(Matches(R"(\u3042|\x{3044})", "あい"), (Strings{"あ", "い"}));
  EXPECT_EQ(Matches(R"(\p{Han}+)", "漢字かな、"), (Strings{"漢字"}));  // not Script_Extensions
  EXPECT_EQ(Matches(R"(a++b|a)", "aab"), (Strings{"aab"}));
}

TEST(Regex, EmptyMatchesAreFoundOnce) {
  EXPECT_EQ(Matches("a*", "baac"), (Strings{"", "aa", ""}));
  EXPECT_EQ(Matches("", "日"), (Strings{"", ""}));
}

TEST(Regex, RefusesWhatItCannotTranslate) {
  for (const char* pattern : {"[a[bc]]", "[a&&b]", R"(\K)", R"(\Q)", "(*UTF)", "(?R)", "(?|a)",
                              R"(\xE9)", R"(\p)", "\\", "(", "[a", R"([\W])", "a**b{", "(?i"}) {
    try {
      Matches(pattern, "abc");
      ADD_FAILURE() << pattern << " was accepted";
    } catch (const Error& e) {
      EXPECT_EQ(std::string(e.what()).rfind("test: ", 0), 0u) << e.what();
    }
  }
}

TEST(Regex, CostlyPatternsEndWithAnError) {
  EXPECT_THROW(Matches("(a+a+)+[xy]", std::string(60, 'a')), Error);
}

TEST(Regex, LongSubjects) {
  const std::string text(2'000'000, 'a');
  EXPECT_EQ(Matches("(?:a|b)+", text).size(), 1u);
  EXPECT_EQ(Matches(R"(\s*[\r\n]+|\s+(?!\S)|\s+)", std::string(2'000'000, ' ') + "x").size(), 2u);
}

TEST(EscapeForRegex, MatchesTheTextItself) {
  const std::string text = "a.b*[c]\\ \n#é(){}|^$";
  EXPECT_EQ(Matches(EscapeForRegex(text).c_str(), "x" + text), (Strings{text}));
}

}  // namespace
}  // namespace lorikeet
