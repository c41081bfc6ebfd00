#include "verify/grader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "verify/tasks/task_for_test.h"

namespace lorikeet {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

constexpr Verdict kNobodyKnows = Verdict::kInvalid;

TEST(Graders, AreKnownByNameAndOption) {
  for (const char* grader : {"gsm8k", "gsm8k:strict", "math", "exact:ignore_case,keep_space",
                             "regex:full", "choice", "none", "exact:"}) {
    EXPECT_NO_THROW(CheckGrader(grader)) << grader;
  }
  EXPECT_THAT([] { CheckGrader("gsm8"); },
              ThrowsMessage<Error>("no grader 'gsm8'; did you mean 'gsm8k'?"));
  EXPECT_THAT([] { CheckGrader("sympy"); }, ThrowsMessage<Error>(HasSubstr("there are gsm8k, ")));
  EXPECT_THAT([] { CheckGrader("exact:ignore-cas"); },
              ThrowsMessage<Error>(HasSubstr("did you mean 'ignore_case'?")));
  EXPECT_THAT([] { CheckGrader("gsm8k:full"); },
              ThrowsMessage<Error>("grader 'gsm8k' has no option 'full'"));
}

TEST(Graders, JudgeByTheProblemsOwnGrader) {
  ExpectVerdicts(ProblemOf("math", "\\frac{1}{2}"), {{"\\boxed{0.5}", kRight}, {"1/3", kFalse}});
  ExpectVerdicts(ProblemOf("none", "7"), {{"7", kNobodyKnows}});
  ExpectVerdicts(ProblemOf("sympy", "7"), {{"7", kNobodyKnows}});
  ExpectVerdicts(GetTask("add").make(0, 0, 1), {{"", kFalse}});
}

TEST(Graders, UnusableReferencesAreFoundBeforehand) {
  EXPECT_NO_THROW(CheckReference("gsm8k", "2 + 2 = 4\n#### 4"));
  EXPECT_NO_THROW(CheckReference("none", ""));
  EXPECT_NO_THROW(CheckReference("regex", "^a+$"));
  EXPECT_THAT([] { CheckReference("gsm8k", "four"); },
              ThrowsMessage<Error>("\"answer\" does not suit grader 'gsm8k': the reference 'four' "
                                   "is no number"));
  EXPECT_THAT([] { CheckReference("regex", "(a"); }, ThrowsMessage<Error>(HasSubstr("'(a'")));
  EXPECT_THROW(CheckReference("choice", "Paris"), Error);
  EXPECT_THROW(CheckReference("exact", "  "), Error);
  EXPECT_THROW(CheckReference("math", ""), Error);
}

// The text of a reference that cannot be read is equal to itself, and any other completion would be
// invalid: nothing could be learned from such a row.
TEST(Graders, ReferencesThatOnlyTheSameTextMatchesAreUnusable) {
  for (const char* usable :
       {"\\frac{1}{2}", "\\boxed{7}", "x = 5", "\\text{Monday}", "3:40 pm", "(B)", "[0, 1)", "x",
        "\\{1, 2\\}", "\\sqrt{2} + \\pi", "\\infty", "5 \\text{ cm}", "Evelyn", "no solution"}) {
    EXPECT_NO_THROW(CheckReference("math", usable)) << usable;
  }
  EXPECT_THAT([] { CheckReference("math", "\\frac{1"); },
              ThrowsMessage<Error>(AllOf(HasSubstr("\"answer\" does not suit grader 'math'"),
                                         HasSubstr("the reference '\\frac{1' cannot be read: "))));
  EXPECT_THAT([] { CheckReference("math", "\\sum_{k=1}^n k^2"); },
              ThrowsMessage<Error>(HasSubstr("cannot be read")));
  EXPECT_THAT([] { CheckReference("math", "\\boxed{1/0}"); },
              ThrowsMessage<Error>(HasSubstr("the reference '1/0' has no value that is known")));
  EXPECT_THAT([] { CheckReference("exact", "<think>so</think>"); },
              ThrowsMessage<Error>(HasSubstr("no completion is the reference")));
  EXPECT_THAT([] { CheckReference("exact", "yes<|im_end|>"); },
              ThrowsMessage<Error>(HasSubstr("no completion is the reference")));
  EXPECT_NO_THROW(CheckReference("exact:keep_space", " a "));
  EXPECT_NO_THROW(CheckReference("gsm8k:strict", "so #### 1,234"));
  EXPECT_NO_THROW(CheckReference("gsm8k", "1/2"));
  EXPECT_THAT([] { CheckReference("gsm8k:strict", "1/2"); },
              ThrowsMessage<Error>(HasSubstr("the reference '1/2' is not of digits")));
}

TEST(Graders, NothingInACompletionHarmsAGrader) {
  for (const char* grader : {"gsm8k", "gsm8k:strict", "math", "exact:ignore_case", "regex:full"}) {
    const Problem problem = ProblemOf(grader, "77");
    for (const std::string& completion : HostileCompletions()) {
      EXPECT_NE(GradeCompletion(problem, completion).verdict, kRight) << completion.substr(0, 20);
    }
  }
  for (const std::string& completion : HostileCompletions()) {
    EXPECT_NE(GradeCompletion(ProblemOf("choice", "Q"), completion).verdict, kRight);
  }
}

TEST(Gsm8kGrader, FollowsTheConventions) {
  const std::string gold = "He has <<3*6=18>>18 - 0 = 18 left.\n#### 18";
  ExpectVerdicts(ProblemOf("gsm8k", gold),
                 {{"#### 18", kRight},
                  {"so 18 are left.\n#### 18", kRight},
                  {"####18", kRight},
                  {"#### $18.00", kRight},
                  {"#### 18.", kRight},
                  {"#### 18 apples of 20", kRight},
                  {"#### 18%", kRight},
                  {"#### 1.8e1", kRight},
                  {"#### 36/2", kRight},
                  {"#### **18**", kRight},
                  {"#### 17\nno:\n#### 18", kRight},
                  {"#### Step 1\n9 + 9\n#### Result\nThe answer is 18.", kRight},
                  {"\\boxed{18}", kRight},
                  {"\\boxed{\\$18} #### 18", kRight},
                  {"The answer is 18 apples.", kRight},
                  {"A: 18", kRight},
                  {"9 + 9 = 18", kRight},
                  {"#### 18<|im_end|>", kRight},
                  {"#### 18</s></s>", kRight},
                  {"<think>#### 17</think>#### 18", kRight},
                  {"#### 18\nWe had 20 at first.", kRight},
                  {"#### 18 ####", kRight},
                  {"#### 17 #### 18", kRight},
                  {"", kFalse},
                  {"####", kFalse},
                  {"#### ", kFalse},
                  {"#### eighteen", kFalse},
                  {"#### -18", kFalse},
                  {"#### \u221218", kFalse},
                  {"#### 18 or 19", kFalse},
                  {"#### 18, 19", kFalse},
                  {"#### 18 19", kFalse},
                  {"#### 18 1/2", kFalse},
                  {"#### 9 + 9", kFalse},
                  {"#### 18 million", kFalse},
                  {"#### 18\n#### 19", kFalse},
                  {"#### 17, so the answer is 18", kFalse},
                  {"\\boxed{17} The answer is 18.", kFalse},
                  {"18 are left, which is 2 less than 20", kFalse},
                  {"<think>#### 18", kFalse},
                  {"#### " + std::string(1 << 20, '1'), kFalse},
                  {Repeated("#### 17\n", 100'000) + "#### 18", kRight}});
  ExpectVerdicts(ProblemOf("gsm8k", "#### 1,234"), {{"#### 1234", kRight},
                                                    {"#### $1,234.00", kRight},
                                                    {"#### 1 234", kRight},
                                                    {"#### 1\u202F234", kRight},
                                                    {"#### 1{,}234", kRight},
                                                    {"#### 1.234", kFalse},
                                                    {"#### 12,34", kFalse},
                                                    {"#### 234", kFalse}});
  ExpectVerdicts(
      ProblemOf("gsm8k", "-3"),
      {{"#### -3", kRight}, {"#### \u22123", kRight}, {"#### -$3", kRight}, {"#### 3", kFalse}});
  ExpectVerdicts(ProblemOf("gsm8k", "0"), {{"#### -0", kRight}, {"#### 0.00", kRight}});
  ExpectVerdicts(ProblemOf("gsm8k", "3/4"), {{"#### 0.75", kRight}, {"#### 6/8", kRight}});
  ExpectVerdicts(ProblemOf("gsm8k", "#### many"), {{"#### 1", kNobodyKnows}, {"", kNobodyKnows}});
}

TEST(Gsm8kGrader, StrictComparesTextAsItsFirstScriptDid) {
  ExpectVerdicts(ProblemOf("gsm8k:strict", "18"), {{"#### 18", kRight},
                                                   {"#### 18 apples", kRight},
                                                   {"#### 1,8", kRight},  // separators are dropped
                                                   {"#### 17\n#### 18", kRight},
                                                   {"#### 18\n#### x", kRight},
                                                   {"#### 18.0", kFalse},
                                                   {"#### 18.", kFalse},
                                                   {"####18", kFalse},
                                                   {"#### $18", kFalse},
                                                   {"The answer is 18", kFalse},
                                                   {"#### 18" + std::string(300, ' '), kFalse},
                                                   {"", kFalse}});
  ExpectVerdicts(ProblemOf("gsm8k:strict", "#### -1,234"), {{"#### -1234", kRight}});
}

TEST(ExactGrader, ComparesText) {
  ExpectVerdicts(ProblemOf("exact", "Paris"), {{"Paris", kRight},
                                               {"  Paris\n", kRight},
                                               {"Paris<|im_end|>", kRight},
                                               {"<think>Rome?</think>\n\nParis", kRight},
                                               {"paris", kFalse},
                                               {"Paris.", kFalse},
                                               {"Answer: Paris", kFalse},
                                               {"Paris or Rome", kFalse},
                                               {"", kFalse},
                                               {std::string(1 << 20, 'P'), kFalse}});
  ExpectVerdicts(ProblemOf("exact:ignore_case", " PARIS "), {{"paris", kRight}, {"pari", kFalse}});
  ExpectVerdicts(ProblemOf("exact:keep_space", " a\n"),
                 {{" a\n", kRight}, {" a\n<|im_end|>", kRight}, {"a", kFalse}});
  ExpectVerdicts(ProblemOf("exact", ""), {{"", kNobodyKnows}, {"a", kNobodyKnows}});
  ExpectVerdicts(ProblemOf("exact", "日本"), {{"日本", kRight}, {"日", kFalse}});
}

TEST(RegexGrader, SearchesOrMatchesAll) {
  ExpectVerdicts(ProblemOf("regex", "(?i)\\bparis\\b"), {{"It is Paris.", kRight},
                                                         {"parish", kFalse},
                                                         {"<think>Paris</think>Rome", kFalse},
                                                         {"\xFF Paris", kRight},
                                                         {"", kFalse}});
  ExpectVerdicts(ProblemOf("regex:full", "yes|no"),
                 {{"yes", kRight}, {" no\n", kRight}, {"yes or no", kFalse}, {"no\nyes", kFalse}});
  ExpectVerdicts(ProblemOf("regex", "^b$"), {{"a\nb\nc", kRight}, {"abc", kFalse}});
  ExpectVerdicts(ProblemOf("regex", "(a"), {{"a", kNobodyKnows}});
  ExpectVerdicts(ProblemOf("regex", ""), {{"a", kNobodyKnows}});
  ExpectVerdicts(ProblemOf("regex", "\xFF"), {{"a", kNobodyKnows}});
}

TEST(RegexGrader, ACostlyMatchIsInvalidNotWrong) {
  ExpectVerdicts(ProblemOf("regex", "(a+a+)+[xy]"),
                 {{"aax", kRight}, {std::string(60, 'a'), kNobodyKnows}});
}

TEST(ChoiceGrader, FindsTheLetter) {
  ExpectVerdicts(ProblemOf("choice", "B"), {
                                               {"B", kRight},
                                               {"b", kRight},
                                               {"(B)", kRight},
                                               {"(b)", kRight},
                                               {"B.", kRight},
                                               {"B) Paris", kRight},
                                               {"B: Paris", kRight},
                                               {"B Paris", kRight},
                                               {"B - Paris", kRight},
                                               {"**B**", kRight},
                                               {"B\n\nIt is the capital.", kRight},
                                               {"Let me think. A is Rome.\nB", kRight},
                                               {"Answer: B", kRight},
                                               {"The answer is (B) Paris.", kRight},
                                               {"The correct answer is option B.", kRight},
                                               {"the answer is b", kRight},
                                               {"Answer: B because A is wrong", kRight},
                                               {"\\boxed{B}", kRight},
                                               {"\\boxed{\\text{B}}", kRight},
                                               {"I would choose (B) here.", kRight},
                                               {"<think>A</think>B<|im_end|>", kRight},
                                               {"A", kFalse},
                                               {"", kFalse},
                                               {"A or B", kFalse},
                                               {"B or C", kFalse},
                                               {"B, C", kFalse},
                                               {"A and B", kFalse},
                                               {"ABCD", kFalse},
                                               {"Answer: A/B", kFalse},
                                               {"A) Rome\nB) Paris", kFalse},
                                               {"Paris", kFalse},
                                               {"Because of that", kFalse},
                                               {"Bananas", kFalse},
                                               {"\\boxed{A} Answer: B", kFalse},
                                               {"<think>B", kFalse},
                                               {std::string(1 << 20, 'B'), kFalse},
                                               {Repeated("(B", 100'000), kRight},
                                           });
  ExpectVerdicts(ProblemOf("choice", "(a)"), {{"A", kRight},
                                              {"A good question.", kFalse},
                                              {"Answer: a city", kFalse},
                                              {"Answer: A", kRight},
                                              {"A is right", kRight}});
  ExpectVerdicts(ProblemOf("choice", "I"), {{"I'm not sure", kFalse}, {"I think so", kFalse}});
  ExpectVerdicts(ProblemOf("choice", "Paris"), {{"A", kNobodyKnows}, {"", kNobodyKnows}});
}

}  // namespace
}  // namespace lorikeet
