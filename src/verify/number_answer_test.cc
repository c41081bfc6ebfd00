#include "verify/number_answer.h"

#include <gtest/gtest.h>

#include "verify/tasks/task_for_test.h"

namespace lorikeet {
namespace {

std::string Parsed(std::string_view text) {
  const auto number = ParseNumber(text);
  return number ? number->ToString() : "none";
}

TEST(ParseNumber, ReadsHowNumbersAreWritten) {
  struct Row {
    const char* text;
    const char* value;
  };
  for (const auto& [text, value] : std::vector<Row>{{"42", "42"},
                                                    {"-3", "-3"},
                                                    {"+3", "3"},
                                                    {"\u22123", "-3"},
                                                    {"- 3", "none"},
                                                    {"-0", "0"},
                                                    {"007", "7"},
                                                    {"3.", "3"},
                                                    {"3.50", "7/2"},
                                                    {".5", "1/2"},
                                                    {"-.5", "-1/2"},
                                                    {"1,234", "1234"},
                                                    {"1,234,567.5", "2469135/2"},
                                                    {"1{,}234", "1234"},
                                                    {"1\\,234", "1234"},
                                                    {"1\u202F234", "1234"},
                                                    {"1\u00A0234", "1234"},
                                                    {"1 234", "1234"},
                                                    {"1,23", "none"},
                                                    {"1,2345", "none"},
                                                    {"1234,567", "none"},
                                                    {"$1,234.00", "1234"},
                                                    {"-$5", "-5"},
                                                    {"$-5", "-5"},
                                                    {"\\$18", "18"},
                                                    {"€20", "20"},
                                                    {"5%", "5"},
                                                    {"5\\%", "5"},
                                                    {"72 clips", "72"},
                                                    {"3/4", "3/4"},
                                                    {"-6/8", "-3/4"},
                                                    {"3/0", "none"},
                                                    {"1.5/2", "none"},
                                                    {"\\frac{3}{4}", "3/4"},
                                                    {"-\\dfrac{-3}{4}", "none"},
                                                    {"7 3/4", "none"},
                                                    {"7\\frac{3}{4}", "none"},
                                                    {"1e3", "1000"},
                                                    {"2.5e-1", "1/4"},
                                                    {"1e99999999999", "none"},
                                                    {"2 million", "2000000"},
                                                    {"2 millions", "2000000"},
                                                    {"2 millionaires", "2"},
                                                    {"1.5 thousand", "1500"},
                                                    {"2^3", "none"},
                                                    {"3²", "none"},
                                                    {"x = 3", "none"},
                                                    {"3 or 4", "none"},
                                                    {"12:30", "none"},
                                                    {"seven", "none"},
                                                    {"", "none"}}) {
    EXPECT_EQ(Parsed(text), value) << text;
  }
  EXPECT_EQ(Parsed("1" + std::string(399, '0')), "1" + std::string(399, '0'));
  EXPECT_EQ(Parsed(std::string(401, '9')), "none");
}

TEST(GradeNumber, TakesOneNumberFromMuchText) {
  const Problem problem = ProblemOf("add", "7");
  ExpectVerdicts(problem, {
                              {"7", kRight},
                              {"7.", kRight},
                              {"**7**", kRight},
                              {"`7`", kRight},
                              {"$7$", kRight},
                              {"7.0", kRight},
                              {"7.00000", kRight},
                              {"14/2", kRight},
                              {"7 apples", kRight},
                              {"3 + 4 = 7", kRight},
                              {"3 + 4 is 7.", kRight},
                              {"3 + 4\n7", kRight},
                              {"3 + 4 -> 7", kRight},
                              {"3 + 4 → 7", kRight},
                              {"3 + 4 => 7", kRight},
                              {"What is 3 + 4? 7", kRight},
                              {"First, 3. Then 4 more. 7", kRight},
                              {"The answer is 7, which is 3 more than 4.", kRight},
                              {"Answer: 3 + 4 = 7", kRight},
                              {"Answer: 7 (3 + 4)", kRight},
                              {"Answer: 7. 3 and 4 were given.", kRight},
                              {"The answer: \\boxed{7}", kRight},
                              {"\\boxed{\\text{seven is } 7}", kRight},
                              {"\\(7\\)", kRight},
                              {"<answer>7</answer>", kRight},
                              {"<b>7</b>", kRight},
                              {"<think>8? 9?</think>7", kRight},
                              {"7<|im_end|>", kRight},
                              {"\xFF\xFE 7", kRight},
                              {std::string(1 << 20, ' ') + "7", kRight},
                              {Repeated("12 and ", 100'000) + "it is 7", kRight},
                              // Not the answer, though there is a 7.
                              {"", kFalse},
                              {"   \n", kFalse},
                              {"seven", kFalse},
                              {"-7", kFalse},
                              {"\u22127", kFalse},
                              {"\u20137", kFalse},
                              {"77", kFalse},
                              {"7.1", kFalse},
                              {"0.7", kFalse},
                              {"1/7", kFalse},
                              {"7e1", kFalse},
                              {"7 million", kFalse},
                              {"7 is 3 + 4", kFalse},  // the last number of the text counts
                              {"7 or 8", kFalse},
                              {"8 or 7", kFalse},
                              {"6, 7", kFalse},
                              {"6 7", kFalse},
                              {"7, 8, 9", kFalse},
                              {"Answer: 7 or 8", kFalse},
                              {"Answer: 7, 8", kFalse},
                              {"Answer: 7/8", kFalse},
                              {"Answer: 7 8", kFalse},
                              {"Answer: 7 + 0", kFalse},
                              {"Answer: 7 x 1", kFalse},
                              {"Answer: 7x1", kFalse},
                              {"Answer: 7\\times1", kFalse},
                              {"Answer: 7^1", kFalse},
                              {"Answer: 7²", kFalse},
                              {"Answer: √7", kFalse},
                              {"Answer: \\sqrt{7}", kFalse},
                              {"Answer: > 7", kFalse},
                              {"Answer: x ≥ 7", kFalse},
                              {"Answer: 7:30", kFalse},
                              {"Answer: 7-8", kFalse},
                              {"Answer: 8\nBut 7 is right as well.", kFalse},
                              {"\\boxed{8} Answer: 7", kFalse},
                              {"Answer: 7, no: the answer is 8", kFalse},
                              {"3 + 4", kFalse},
                              {"x7", kFalse},
                              {"A7", kFalse},
                              {"<think>7", kFalse},
                              {"7</think>", kFalse},
                              {"<answer></answer>7", kFalse},
                              {std::string(1 << 20, '7'), kFalse},
                              {Repeated("7 ", 100'000), kFalse},
                              {Repeated("1e400 ", 100'000) + "8", kFalse},
                              {Repeated("answer is ", 100'000), kFalse},
                          });
}

TEST(GradeNumber, SignsAndSeparatorsOfReferences) {
  ExpectVerdicts(ProblemOf("subtract", "-20"), {{"-20", kRight},
                                                {"\u221220", kRight},
                                                {"x = - 20", kRight},
                                                {"10 - 30 = -20", kRight},
                                                {"It is (-20).", kRight},
                                                {"**-20**", kRight},
                                                {"20", kFalse},
                                                {"10-20", kFalse},
                                                {"- 20", kFalse}});  // a list's dash
  ExpectVerdicts(ProblemOf("subtract", "0"),
                 {{"-0", kRight}, {"0.0", kRight}, {"zero", kFalse}, {"0 or 1", kFalse}});
  ExpectVerdicts(ProblemOf("multiply", "1204252407046794715"),
                 {{"1204252407046794715", kRight},
                  {"1,204,252,407,046,794,715", kRight},
                  {"1.204252407046794715e18", kRight},
                  {"1204252407046794716", kFalse},
                  {"1.2042524070467947e18", kFalse}});
  ExpectVerdicts(ProblemOf("add", "many"), {{"7", Verdict::kInvalid}, {"", Verdict::kInvalid}});
}

TEST(NextNumber, ListsKeepTheirCommas) {
  const std::string text = "1,234,x5,-6";
  std::vector<std::string> found;
  for (auto n = NextNumber(text, 0, Grouping::kNone); n;
       n = NextNumber(text, n->end, Grouping::kNone)) {
    found.push_back(n->value->ToString());
  }
  EXPECT_EQ(found, (std::vector<std::string>{"1", "234", "-6"}));
}

}  // namespace
}  // namespace lorikeet
