// Integer arithmetic: add, subtract, multiply, chain, gcd.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <numeric>

#include "verify/number_answer.h"
#include "verify/tasks/rows.h"

namespace lorikeet {
namespace {

// Uniform among the numbers of `digits` digits; of one digit, 0 is one.
int64_t NumberOfDigits(Dice& dice, int digits) {
  int64_t power = 1;
  for (int i = 1; i < digits; ++i) power *= 10;
  return dice.Between(digits == 1 ? 0 : power, 10 * power - 1);
}

Question AskFor(const std::string& expression, int64_t value) {
  return {.prompt = fmt::format("What is {}? Reply with the number only.", expression),
          .answer = std::to_string(value)};
}

Question MakeAdd(Dice& dice, int difficulty) {
  const int64_t a = NumberOfDigits(dice, difficulty), b = NumberOfDigits(dice, difficulty);
  return AskFor(fmt::format("{} + {}", a, b), a + b);
}

Question MakeSubtract(Dice& dice, int difficulty) {
  int64_t a = NumberOfDigits(dice, difficulty), b = NumberOfDigits(dice, difficulty);
  if (difficulty == 1 && a < b) std::swap(a, b);
  return AskFor(fmt::format("{} - {}", a, b), a - b);
}

Question MakeMultiply(Dice& dice, int difficulty) {
  const int digits = difficulty + 1;  // of both together
  const int64_t a = NumberOfDigits(dice, digits - digits / 2);
  const int64_t b = NumberOfDigits(dice, digits / 2);
  return AskFor(fmt::format("{} * {}", a, b), a * b);
}

Question MakeChain(Dice& dice, int difficulty) {
  int64_t sum = 0, product = dice.Between(1, 9);  // of the terms before, and of the one at hand
  std::string expression = std::to_string(product);
  for (int i = 0; i < difficulty; ++i) {
    const int64_t number = dice.Between(1, 9);
    const char sign = dice.PickFrom(std::array<char, 3>{'+', '-', '*'});
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

Question MakeGcd(Dice& dice, int difficulty) {
  constexpr std::array<int64_t, 8> kLimits = {12, 30, 60, 100, 300, 1000, 10'000, 1'000'000};
  const int64_t limit = kLimits[static_cast<size_t>(difficulty) - 1];
  // Two random numbers have seldom more in common than 1, 2 or 3.
  int64_t most = 1;
  while (most * most < limit) ++most;
  const int64_t common = dice.Between(1, most);
  const int64_t a = common * dice.Between(1, limit / common);
  const int64_t b = common * dice.Between(1, limit / common);
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
