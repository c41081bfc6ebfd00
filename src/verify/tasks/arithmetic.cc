// Integer arithmetic: add, subtract, multiply, chain, gcd.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <numeric>

#include "verify/number_answer.h"
#include "verify/tasks/rows.h"

namespace lorikeet {
namespace {

// Uniform among the numbers of `digits` digits; 0 has one digit.
int64_t NumberOfDigits(ProblemRandom& random, int digits) {
  int64_t power = 1;
  for (int i = 1; i < digits; ++i) power *= 10;
  return random.Between(digits == 1 ? 0 : power, 10 * power - 1);
}

Question AskFor(const std::string& expression, int64_t value) {
  return {.prompt = fmt::format("What is {}? Reply with the number only.", expression),
          .answer = std::to_string(value)};
}

Question MakeAdd(ProblemRandom& random, int difficulty) {
  const int64_t a = NumberOfDigits(random, difficulty), b = NumberOfDigits(random, difficulty);
  return AskFor(fmt::format("{} + {}", a, b), a + b);
}

Question MakeSubtract(ProblemRandom& random, int difficulty) {
  int64_t a = NumberOfDigits(random, difficulty), b = NumberOfDigits(random, difficulty);
  if (difficulty == 1 && a < b) std::swap(a, b);
  return AskFor(fmt::format("{} - {}", a, b), a - b);
}

Question MakeMultiply(ProblemRandom& random, int difficulty) {
  const int digits = difficulty + 1;  // number of digits of both together
  const int64_t a = NumberOfDigits(random, digits - digits / 2);
  const int64_t b = NumberOfDigits(random, digits / 2);
  return AskFor(fmt::format("{} * {}", a, b), a * b);
}

Question MakeChain(ProblemRandom& random, int difficulty) {
  int64_t sum = 0, product = random.Between(1, 9);  // sum of the previous terms, current term
  std::string expression = std::to_string(product);
  for (int i = 0; i < difficulty; ++i) {
    const int64_t number = random.Between(1, 9);
    const char sign = random.PickFrom(std::array<char, 3>{'+', '-', '*'});
    expression += fmt::format(" {} {}", sign, number);
    if (sign == '*') {
      product *= number;
    } else {
      sum += product;
      product = sign == '+' ? number : -number;
    }
  }
  return AskFor(expression, sum + product);
}

Question MakeGcd(ProblemRandom& random, int difficulty) {
  constexpr std::array<int64_t, 8> kLimits = {12, 30, 60, 100, 300, 1000, 10'000, 1'000'000};
  const int64_t limit = kLimits[static_cast<size_t>(difficulty) - 1];
  // Two random numbers seldom have a common divisor above 3.
  int64_t root = 1;
  while (root * root < limit) ++root;
  const int64_t common = random.Between(1, root);
  const int64_t a = common * random.Between(1, limit / common);
  const int64_t b = common * random.Between(1, limit / common);
  return {.prompt = fmt::format("What is the greatest common divisor of {} and {}? Reply with the "
                                "number only.",
                                a, b),
          .answer = std::to_string(std::gcd(a, b))};
}

}  // namespace

std::vector<TaskRow> ArithmeticTasks() {
  return {
      {"add", "the sum of two numbers", "digits of each number", 1, 18, 1, MakeAdd, GradeNumber},
      {"subtract", "the difference of two numbers, negative ones too from difficulty 2 on",
       "digits of each number", 1, 18, 1, MakeSubtract, GradeNumber},
      {"multiply", "the product of two numbers", "digits of both numbers together, less 1", 1, 17,
       1, MakeMultiply, GradeNumber},
      {"chain", "a chain of +, - and *, with * before + and -", "operators", 1, 10, 1, MakeChain,
       GradeNumber},
      {"gcd", "the greatest common divisor of two numbers",
       "the numbers' limit: 12, 30, 60, 100, 300, 1000, 10000, 1000000", 1, 8, 1, MakeGcd,
       GradeNumber},
  };
}

}  // namespace lorikeet
