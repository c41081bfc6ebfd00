#include <gtest/gtest.h>

#include <algorithm>

#include "verify/expression_value.h"
#include "verify/tasks/task_for_test.h"

namespace lorikeet {
namespace {

TEST(ArithmeticTasks, TheAnswerIsTheValueOfWhatIsAsked) {
  for (const char* name : {"add", "subtract", "multiply", "chain"}) {
    const Task& task = GetTask(name);
    for (int difficulty = task.min_difficulty; difficulty <= std::min(task.max_difficulty, 8);
         ++difficulty) {
      for (uint64_t index = 0; index < 20; ++index) {
        const Problem problem = task.make(0, index, difficulty);
        const std::string& prompt = problem.messages[0].content;
        const size_t begin = std::string("What is ").size();
        const ExpressionValue value =
            EvaluateExpression(prompt.substr(begin, prompt.find('?') - begin));
        ASSERT_TRUE(value.value) << prompt;
        EXPECT_EQ(value.value->ToString(), problem.answer) << prompt;
      }
    }
  }
}

TEST(ArithmeticTasks, DifficultyIsTheNumberOfDigits) {
  for (const int digits : {1, 3, 18}) {
    for (uint64_t index = 0; index < 20; ++index) {
      const std::string prompt = GetTask("add").make(0, index, digits).messages[0].content;
      const size_t plus = prompt.find(" + ");
      EXPECT_EQ(plus, 8 + static_cast<size_t>(digits)) << prompt;
      EXPECT_EQ(prompt.find('?'), plus + 3 + static_cast<size_t>(digits)) << prompt;
    }
  }
}

TEST(ArithmeticTasks, GcdIsNotAlwaysSmall) {
  int above_three = 0;
  for (uint64_t index = 0; index < 100; ++index) {
    above_three += std::stoi(GetTask("gcd").make(0, index, 4).answer) > 3 ? 1 : 0;
  }
  EXPECT_GT(above_three, 40);
  ExpectVerdicts(ProblemOf("gcd", "6"), {{"The GCD of 12 and 18 is 6.", kRight},
                                         {"gcd(12, 18) = 6", kRight},
                                         {"6 divides 12 and 18", kFalse},
                                         {"12, 18", kFalse},
                                         {"3 and 6", kFalse}});
}

}  // namespace
}  // namespace lorikeet
