#include "checkpoint/module_regex.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"

namespace lorikeet {
namespace {

bool Matches(const std::string& pattern, const std::string& text) {
  return ModuleRegex(pattern, "test").FullMatch(text);
}

TEST(ModuleRegexTest, MatchesInFull) {
  EXPECT_TRUE(Matches("q_proj", "q_proj"));
  EXPECT_FALSE(Matches("q_proj", "q_proj2"));
  EXPECT_FALSE(Matches("q_proj", "xq_proj"));
  EXPECT_TRUE(Matches("", ""));
  EXPECT_FALSE(Matches("", "a"));
  EXPECT_TRUE(Matches(".*\\.(q|v)_proj", "model.layers.3.self_attn.v_proj"));
  EXPECT_FALSE(Matches(".*\\.(q|v)_proj", "model.layers.3.self_attn.k_proj"));
  EXPECT_TRUE(Matches("a|b|", ""));
  EXPECT_TRUE(Matches("a|bc|d", "bc"));
  EXPECT_FALSE(Matches("a|bc|d", "ac"));
}

TEST(ModuleRegexTest, Repetitions) {
  EXPECT_TRUE(Matches("ab*c", "ac"));
  EXPECT_TRUE(Matches("ab*?c", "abbbc"));
  EXPECT_FALSE(Matches("ab+c", "ac"));
  EXPECT_TRUE(Matches("a{2}", "aa"));
  EXPECT_FALSE(Matches("a{2}", "aaa"));
  EXPECT_TRUE(Matches("a{1,3}", "aaa"));
  EXPECT_FALSE(Matches("a{1,3}", "aaaa"));
  EXPECT_FALSE(Matches("a{1,3}", ""));
  EXPECT_TRUE(Matches("(?:ab){2,}c", "abababc"));
  EXPECT_FALSE(Matches("(?:ab){2,}c", "abc"));
  EXPECT_TRUE(Matches("(a*)*", "aaaa"));
  EXPECT_TRUE(Matches("()*x", "x"));
}

TEST(ModuleRegexTest, ClassesAndAssertions) {
  EXPECT_TRUE(Matches("layers\\.[0-9]+", "layers.17"));
  EXPECT_TRUE(Matches("layers\\.(1[0-5]|[2-3])", "layers.12"));
  EXPECT_FALSE(Matches("layers\\.(1[0-5]|[2-3])", "layers.16"));
  EXPECT_TRUE(Matches("[^.]+", "abc"));
  EXPECT_FALSE(Matches("[^.]+", "a.c"));
  EXPECT_TRUE(Matches("[]a-]+", "]-a"));
  EXPECT_TRUE(Matches("[\\d.]+", "1.5"));
  EXPECT_TRUE(Matches("\\w+\\s\\D", "a_1 x"));
  EXPECT_TRUE(Matches("^a$", "a"));
  EXPECT_FALSE(Matches("a^b", "ab"));
  EXPECT_TRUE(Matches("(.*\\.)?(^model.*down)", "model.0.down"));
  EXPECT_FALSE(Matches("(.*\\.)?(^odel.*down)", "model.odel.down"));
  EXPECT_TRUE(Matches(".*\\bmodel\\b.*", "x.model.y"));
  EXPECT_FALSE(Matches(".*\\bmodel\\b.*", "x.models.y"));
  EXPECT_TRUE(Matches(".*l\\Bs.*", "models"));
}

enum class Python { kMatch, kNoMatch, kError };
struct Row {
  const char* pattern;
  const char* name;
  Python fullmatch;  // answer of re.fullmatch, Python 3.11
};

// Includes patterns that Python's re and PCRE2 read differently.
constexpr Row kPython[] = {
    {R"(.*\.(?!lm_head)\w+)", "model.q_proj", Python::kMatch},
    {R"(.*\.(?!lm_head)\w+)", "model.lm_head", Python::kNoMatch},
    {R"((?!.*layers\.0\.).*q_proj)", "model.layers.1.self_attn.q_proj", Python::kMatch},
    {R"((?!.*layers\.0\.).*q_proj)", "model.layers.0.self_attn.q_proj", Python::kNoMatch},
    {"(?=.*mlp).*down_proj", "model.mlp.down_proj", Python::kMatch},
    {".*(?<!v)_proj", "a.v_proj", Python::kNoMatch},
    {".*(?<!v)_proj", "a.q_proj", Python::kMatch},
    {"(?<=a)b", "b", Python::kNoMatch},
    {"a(?<=a)b", "ab", Python::kMatch},
    {"(?=a)", "a", Python::kNoMatch},
    {"(?P<n>a)(?P=n)", "aa", Python::kMatch},
    {"(?P<n>a)(?P=n)", "ab", Python::kNoMatch},
    {R"((a|b)\1)", "bb", Python::kMatch},
    {R"((a|b)\1)", "ab", Python::kNoMatch},
    {"(?>a|ab)c", "abc", Python::kNoMatch},
    {"(?:a|ab)c", "abc", Python::kMatch},
    {"a++b", "aab", Python::kMatch},
    {"a*+a", "aa", Python::kNoMatch},
    {"a?+a", "a", Python::kNoMatch},
    {"a{1,2}+a", "aa", Python::kNoMatch},
    {"(?#comment)a", "a", Python::kMatch},
    {"a(?#c)*", "aaa", Python::kMatch},
    {R"(((((((((((a))))))))))\10)", "aa", Python::kMatch},
    {"(?P<n>a)(?P<n>b)", "ab", Python::kError},
    {"(?P<1>a)", "a", Python::kError},
    {"(?P=n)", "a", Python::kError},
    {R"((a\1))", "a", Python::kError},
    {R"(a\1)", "a", Python::kError},
    {"(?<n>a)", "a", Python::kError},
    {"(?|a|b)", "a", Python::kError},
    {"(?R)", "a", Python::kError},
    {"(?1)(a)", "aa", Python::kError},
    {"(?P>n)", "a", Python::kError},
    {"(?&n)", "a", Python::kError},
    {"(*F)a", "a", Python::kError},
    {"(*COMMIT)a", "a", Python::kError},
    {"(?i)Q_PROJ", "q_proj", Python::kMatch},
    {"a(?i)b", "ab", Python::kError},
    {"(?i:A)b", "ab", Python::kMatch},
    {"(?i:A)b", "aB", Python::kNoMatch},
    {"(?i:a(?-i:B))", "AB", Python::kMatch},
    {"(?i:a(?-i:B))", "Ab", Python::kNoMatch},
    {"(?s).", "\n", Python::kMatch},
    {".", "\n", Python::kNoMatch},
    {R"((?m)a$\nb)", "a\nb", Python::kMatch},
    {R"((?m)a\n^)", "a\n", Python::kMatch},
    {R"(a\n^)", "a\n", Python::kNoMatch},
    {R"((?u)\w)", "é", Python::kMatch},
    {"(?s)(?i)A.", "a\n", Python::kMatch},
    {"(?-i)a", "a", Python::kError},
    {"(?i-i:a)", "a", Python::kError},
    {"(?^:a)", "a", Python::kError},
    {"a{,2}", "aa", Python::kMatch},
    {"a{,2}", "a{,2}", Python::kNoMatch},
    {"a{,}", "aaa", Python::kMatch},
    {"a{x}", "a{x}", Python::kMatch},
    {"a{}", "a{}", Python::kMatch},
    {"{", "{", Python::kMatch},
    {"a{1001}", "a", Python::kNoMatch},
    {"a{2}{3}", "aaaaaa", Python::kError},
    {"a**", "a", Python::kError},
    {"a*?*", "a", Python::kError},
    {"*a", "a", Python::kError},
    {"a|*", "a", Python::kError},
    {"^*", "a", Python::kError},
    {"a{2,1}", "aa", Python::kError},
    {R"(\b+)", "a", Python::kError},
    {R"(\Aa\Z)", "a", Python::kMatch},
    {R"(a\Z\n)", "a\n", Python::kNoMatch},
    {R"(a$\n)", "a\n", Python::kMatch},
    {R"(a\z)", "a", Python::kError},
    {R"(\Ga)", "a", Python::kError},
    {R"(\h)", "\t", Python::kError},
    {R"(\R)", "\n", Python::kError},
    {R"(\K)", "a", Python::kError},
    {R"(\Qa\E)", "a", Python::kError},
    {R"(\X)", "a", Python::kError},
    {R"(\p{L})", "a", Python::kError},
    {R"(\e)", "\033", Python::kError},
    {R"(\x61\u0062\U00000063)", "abc", Python::kMatch},
    {R"(\x6)", "a", Python::kError},
    {R"(\U00110000)", "a", Python::kError},
    {R"(\n\t\v\f\r\a)", "\n\t\013\014\r\007", Python::kMatch},
    {R"(\v)", "\n", Python::kNoMatch},
    {R"(\.\-\/)", ".-/", Python::kMatch},
    {R"(\_)", "_", Python::kMatch},
    {R"(\w+)", "éß٣", Python::kMatch},
    {R"(\w)", "\u0301", Python::kNoMatch},
    {R"(\w)", "‿", Python::kNoMatch},
    {R"(\d)", "٣", Python::kMatch},
    {R"(\d)", "²", Python::kNoMatch},
    {R"(\w)", "²", Python::kMatch},
    {R"(\s)", "\034", Python::kMatch},
    {R"(\s)", "\u180e", Python::kNoMatch},
    {R"(\S)", "\u180e", Python::kMatch},
    {R"(\s)", "\u3000", Python::kMatch},
    {R"(é\b.)", "éa", Python::kNoMatch},
    {R"(é\B.)", "éa", Python::kMatch},
    {".", "é", Python::kMatch},
    {"[[:alpha:]]", ":]", Python::kMatch},
    {"[[:alpha:]]", "b", Python::kNoMatch},
    {"[[]", "[", Python::kMatch},
    {"[]a]", "]", Python::kMatch},
    {"[^]a]", "b", Python::kMatch},
    {"[a&&b]", "&", Python::kMatch},
    {"[--a]+", "-a", Python::kMatch},
    {R"([\d-]+)", "1-", Python::kMatch},
    {R"([\d-z])", "1", Python::kError},
    {R"([a-\d])", "1", Python::kError},
    {R"([^\W\d_]+)", "ab", Python::kMatch},
    {R"([^\W\d_]+)", "a1", Python::kNoMatch},
    {R"([\S])", "a", Python::kMatch},
    {R"([\b])", "\010", Python::kMatch},
    {R"([\x61-c])", "b", Python::kMatch},
    {"[b-a]", "a", Python::kError},
    {"[]", "a", Python::kError},
    {"[a", "a", Python::kError},
    {R"([\w.]+)", "a.1", Python::kMatch},
    {"[é-ü]", "ñ", Python::kMatch},
};

TEST(ModuleRegexTest, HasTheMeaningOfPythonsFullmatch) {
  for (const Row& row : kPython) {
    Python result = Python::kError;
    try {
      result = Matches(row.pattern, row.name) ? Python::kMatch : Python::kNoMatch;
    } catch (const Error&) {
    }
    EXPECT_EQ(result, row.fullmatch) << row.pattern << " against " << row.name;
  }
}

std::string ErrorOf(const std::string& pattern, const std::string& name = "a") {
  try {
    Matches(pattern, name);
    return "";
  } catch (const Error& e) {
    return e.what();
  }
}

// Constructs that re accepts and ModuleRegex does not are refused by name.
TEST(ModuleRegexTest, NamesWhatItRefuses) {
  const std::pair<const char*, const char*> kRefused[] = {
      {"(a)(?(1)a|b)", "conditional"},
      {"\\012", "octal"},
      {"[\\12]", "octal"},
      {"\\N{DIGIT ONE}", "the escape \\N"},
      {"(?a)\\w", "the flag a"},
      {"(?x) a", "the flag x"},
      {"(?=a)*a", "an assertion"},
      {"(?i)é", "the flag i"},
      {"(?R)", "(?R"},
      {"a{70000}", "65535"},
      {"\\ud800", "beyond Unicode"},
  };
  for (const auto& [pattern, named] : kRefused) {
    const std::string error = ErrorOf(pattern);
    EXPECT_NE(error.find(named), std::string::npos) << pattern << ": " << error;
    EXPECT_EQ(error.rfind("test: regular expression ", 0), 0u) << error;
    EXPECT_EQ(error.find('\n'), std::string::npos) << error;
  }
  EXPECT_NE(ErrorOf("(?i)a", "\u0131"), "");  // dotless i: Python folds it to i
  EXPECT_NE(ErrorOf("a", "\xFF"), "");
  EXPECT_NE(ErrorOf("\xFF"), "");
}

TEST(ModuleRegexTest, RefusesWhatIsNoPattern) {
  for (const char* pattern : {"(a", "a)", "[a", "[b-a]", "*a", "a**", "a{2,1}", "a\\1", "\\", "\\p",
                              "((a{900}){900}){900}", "(?", "[\\", "(?<!a*)b"}) {
    EXPECT_THROW(ModuleRegex(pattern, "test"), Error) << pattern;
  }
  EXPECT_THROW(ModuleRegex(std::string(100000, '('), "test"), Error);
  EXPECT_THROW(ModuleRegex(std::string(1000, '(') + std::string(1000, ')'), "test"), Error);
}

TEST(ModuleRegexTest, CostlyPatternsEndWithAnError) {
  EXPECT_THROW(Matches("(a|aa)*(a*)*b", std::string(5000, 'a')), Error);
  const std::string error = ErrorOf("(a+a+)+[xy]", std::string(60, 'a'));
  EXPECT_NE(error.find("too costly"), std::string::npos) << error;
}

}  // namespace
}  // namespace lorikeet
