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

TEST(ModuleRegexTest, RefusesWhatItCannotDo) {
  for (const char* pattern :
       {"(?!a)b", "(?=a)", "(?P<n>a)", "a\\1", "(a", "a)", "[a", "[b-a]", "*a", "a**", "a{2,1}",
        "a{x}", "a{1001}", "\\", "\\p", "((a{900}){900}){900}", "(?", "[\\"}) {
    EXPECT_THROW(ModuleRegex(pattern, "test"), Error) << pattern;
  }
  EXPECT_THROW(ModuleRegex(std::string(100000, '('), "test"), Error);
}

// A backtracking matcher would need 2^50 steps.
TEST(ModuleRegexTest, TimeIsLinear) {
  EXPECT_FALSE(Matches("(a|aa)*(a*)*b", std::string(5000, 'a')));
}

}  // namespace
}  // namespace lorikeet
