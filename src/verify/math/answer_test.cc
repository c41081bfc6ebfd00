#include "verify/math/answer.h"

#include <gtest/gtest.h>

namespace lorikeet::math {
namespace {

std::string Find(std::string_view completion) { return ExtractAnswer(completion).text; }

TEST(MathAnswerTest, Boxed) {
  EXPECT_EQ(Find(R"(So $x = \boxed{5}$.)"), "5");
  EXPECT_EQ(Find(R"(\boxed{1}, no: \boxed{2})"), "2");
  EXPECT_EQ(Find(R"(\boxed{\frac{1}{2}})"), R"(\frac{1}{2})");
  EXPECT_EQ(Find(R"(\boxed{\{1,2\}})"), R"(\{1,2\})");
  EXPECT_EQ(Find(R"(\boxed{\}})"), R"(\})");
  EXPECT_EQ(Find(R"(\fbox{5})"), "5");
  EXPECT_EQ(Find(R"($\boxed 5$ is right)"), "5");
  EXPECT_EQ(Find(R"(\boxed{\text{a} \boxed{5}})"), "5");
  EXPECT_EQ(Find(R"(\boxed{$5$.})"), "5");
  EXPECT_EQ(Find(R"(\boxed{5} #### 6 the answer is 7 $8$)"), "5");
  EXPECT_EQ(Find(R"(\boxed{5} and then \boxed{6)"), "");  // the last one decides, cut off as it is
  EXPECT_EQ(Find(R"(\boxed{})"), "");
  EXPECT_EQ(Find(R"(\boxed)"), "");
}

TEST(MathAnswerTest, Hashes) {
  EXPECT_EQ(Find("48/2 = 24\n#### 72"), "72");
  EXPECT_EQ(Find("#### 1\n#### 12 apples\nthe answer is 7"), "12 apples");
  EXPECT_EQ(Find("####"), "");
}

TEST(MathAnswerTest, Announced) {
  EXPECT_EQ(Find("The answer is 5."), "5");
  EXPECT_EQ(Find("The answer is 3.5. I hope it is correct."), "3.5");
  EXPECT_EQ(Find("Final Answer: The final answer is $5$. I hope it is correct."), "5");
  EXPECT_EQ(Find("**Answer:** 5\nThanks"), "5");
  EXPECT_EQ(Find("**Final Answer**: **5**"), "5");
  EXPECT_EQ(Find("answer = 5"), "5");
  EXPECT_EQ(Find("Answer:\n\n\\[ x = 5 \\]"), "x = 5");
  EXPECT_EQ(Find("the answer is $18 per day"), "$18 per day");
  EXPECT_EQ(Find("The answer is 5 because 2+3=5."), "5");
  EXPECT_EQ(Find("The answer is 5. No, the answer is 6."), "6");
  EXPECT_EQ(Find("The answers differ; it issues 5"), "The answers differ; it issues 5");
  EXPECT_EQ(Find("The answer is"), "");
  EXPECT_EQ(Find("**Final Answer**\n\n73"), "73");
  EXPECT_EQ(Find("### Final Answer\n\n$x = 73$\n\nThis was checked."), "x = 73");
  EXPECT_EQ(Find("The answer key\n\n73"), "");
  EXPECT_EQ(Find("**Final Answer**\n"), "Final Answer");
  EXPECT_EQ(Find("\\boxed{0.333...}"), "0.333...");
  EXPECT_EQ(Find("The answer is 5..."), "5");
}

TEST(MathAnswerTest, Formulas) {
  EXPECT_EQ(Find("First $x = 4$ then\nwe get $x = 5$ at last"), "x = 5");
  EXPECT_EQ(Find("thus\n$$ x = 5 $$"), "x = 5");
  EXPECT_EQ(Find("thus\n\\[ x = 5. \\]"), "x = 5");
  EXPECT_EQ(Find("thus\n\\(5\\)"), "5");
  EXPECT_EQ(Find("It costs $5 and $6,\nor so"), "");  // prices are no formulas
  EXPECT_EQ(Find("first $4$,\nthen \\$5"), "4");
}

TEST(MathAnswerTest, WholeText) {
  EXPECT_EQ(Find("42"), "42");
  EXPECT_EQ(Find("  42.\n"), "42");
  EXPECT_EQ(Find("so it is\n42"), "");
  EXPECT_EQ(Find(std::string(300, '1')), "");
  EXPECT_EQ(Find(""), "");
}

TEST(MathAnswerTest, TagsAndEnds) {
  EXPECT_EQ(Find("<think>\\boxed{4}</think> \\boxed{5}"), "5");
  EXPECT_EQ(Find("<think>so \\boxed{4}"), "");
  EXPECT_EQ(Find("\\boxed{4}</think>5"), "5");
  EXPECT_EQ(Find("noise <answer> 5 </answer> noise"), "5");
  EXPECT_EQ(Find("<answer>so \\boxed{5}</answer> \\boxed{6}"), "5");
  EXPECT_EQ(Find("#### 5<|im_end|>"), "5");
  EXPECT_EQ(Find("#### 5</s><|endoftext|>"), "5");
  EXPECT_EQ(Find("The answer is 5<|eot_id|>\n"), "5");
}

TEST(MathAnswerTest, References) {
  EXPECT_EQ(ReferenceAnswer("  $\\frac12$ "), "\\frac12");
  EXPECT_EQ(ReferenceAnswer("so \\boxed{5}."), "5");
  EXPECT_EQ(ReferenceAnswer("9 eggs\n#### 18"), "18");
}

}  // namespace
}  // namespace lorikeet::math
