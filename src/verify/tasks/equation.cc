// Linear equations in one unknown.
#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "core/text.h"
#include "verify/math/rational.h"
#include "verify/number_answer.h"
#include "verify/tasks/rows.h"

namespace lorikeet {
namespace {

// slope * x + offset
struct Side {
  int64_t slope = 0, offset = 0;
};

// " + 5", " - 5", or at the beginning "5", "-5"; nothing for 0.
std::string Signed(int64_t value, bool first, std::string_view unknown = "") {
  if (value == 0) return "";
  const int64_t size = std::abs(value);
  const std::string digits = size == 1 && !unknown.empty() ? "" : std::to_string(size);
  const char* sign = value < 0 ? (first ? "-" : " - ") : (first ? "" : " + ");
  return fmt::format("{}{}{}", sign, digits, unknown);
}

std::string Shown(const Side& side) {
  const std::string slope = Signed(side.slope, true, "x");
  const std::string text = slope + Signed(side.offset, slope.empty());
  return text.empty() ? "0" : text;
}

// A random number from -max to max other than 0.
int64_t NonZero(ProblemRandom& random, int64_t max) {
  const int64_t size = random.Between(1, max);
  return random.Coin() ? size : -size;
}

// A short prompt: small models follow long instructions badly.
Question Ask(const std::string& equation, int64_t num, int64_t den, bool fractions) {
  const math::Rational x{math::Integer(num), math::Integer(den)};
  const char* form = fractions ? " Write fractions in lowest terms, like 7/3." : "";
  return {.prompt = fmt::format("Solve {}.{}", equation, form), .answer = x.ToString()};
}

Question AskSides(const Side& left, const Side& right, bool fractions) {
  return Ask(Shown(left) + " = " + Shown(right), right.offset - left.offset,
             left.slope - right.slope, fractions);
}

// a (x + b) + c
struct Bracket {
  int64_t factor, inside, outside;
  Side Expanded() const { return {factor, factor * inside + outside}; }
  std::string ToString() const {
    return fmt::format("{}({}){}", factor, Shown({1, inside}), Signed(outside, false));
  }
};

Bracket RandomBracket(ProblemRandom& random) {
  return {random.Between(2, 9), NonZero(random, 9), random.Between(-9, 9)};
}

Question MakeEquation(ProblemRandom& random, int difficulty) {
  const int64_t x = difficulty < 3 ? random.Between(1, 10) : random.Between(-12, 12);
  switch (difficulty) {
    case 1: {
      const int64_t offset = random.Coin() ? random.Between(1, 9) : -random.Between(1, x);
      return AskSides({1, offset}, {0, x + offset}, false);
    }
    case 2: {
      const Side left = {random.Between(2, 9), random.Between(1, 9)};
      return AskSides(left, {0, left.slope * x + left.offset}, false);
    }
    case 3: {
      const Side left = {NonZero(random, 12), NonZero(random, 30)};
      return AskSides(left, {0, left.slope * x + left.offset}, false);
    }
    case 4: {
      const Side left = {NonZero(random, 12), NonZero(random, 30)};
      const int64_t slope = left.slope + NonZero(random, 9);
      return AskSides(left, {slope, (left.slope - slope) * x + left.offset}, false);
    }
    case 5:
      return AskSides({NonZero(random, 12), NonZero(random, 30)}, {0, random.Between(-30, 30)},
                      true);
    case 6: {
      const Side left = {NonZero(random, 12), NonZero(random, 30)};
      return AskSides(left, {left.slope + NonZero(random, 9), random.Between(-30, 30)}, true);
    }
    default: {
      const Bracket left = RandomBracket(random);
      Bracket right = RandomBracket(random);
      if (right.factor == left.factor) ++right.factor;
      const Side a = left.Expanded(), b = right.Expanded();
      return Ask(left.ToString() + " = " + right.ToString(), b.offset - a.offset, a.slope - b.slope,
                 true);
    }
  }
}

// The region after the last "x =" without a coefficient, to the end of its line.
std::optional<Region> BehindUnknown(std::string_view text) {
  for (size_t at = text.rfind('='); at != std::string_view::npos;
       at = at == 0 ? std::string_view::npos : text.rfind('=', at - 1)) {
    std::string_view before = text.substr(0, at);
    while (before.ends_with(' ')) before.remove_suffix(1);
    if (!before.ends_with('x') && !before.ends_with('X')) continue;
    before.remove_suffix(1);
    while (before.ends_with(' ')) before.remove_suffix(1);
    const char coefficient = before.empty() ? '\0' : before.back();
    if (IsAsciiDigit(coefficient) || coefficient == '*' || coefficient == '-' ||
        coefficient == '+') {
      continue;
    }
    const std::string_view behind = text.substr(at);
    return Region{behind.substr(0, behind.find('\n')), true};
  }
  return std::nullopt;
}

NumberAnswer ReadSolution(std::string_view completion) {
  for (const Region& region : AnswerRegions(FinalText(completion), Extent::kLine)) {
    if (!region.marked) {
      if (const auto behind = BehindUnknown(region.text)) {
        NumberAnswer answer = NumberIn(*behind);
        if (answer.value || !answer.reason.empty()) return answer;
      }
    }
    NumberAnswer answer = NumberIn(region);
    if (answer.value || !answer.reason.empty()) return answer;
  }
  return {std::nullopt, true, "no number"};
}

Grade GradeEquation(const Problem& problem, std::string_view completion) {
  const NumberAnswer answer = ReadSolution(completion);
  Grade grade = CompareNumber(problem.answer, answer);
  if (grade.verdict == Verdict::kCorrect && !answer.reduced) {
    return Grade::Wrong(fmt::format("{} is not in lowest terms", answer.reason));
  }
  return grade;
}

}  // namespace

std::vector<TaskRow> EquationTasks() {
  return {{"equation", "a linear equation in x",
           "1: x + b = c; 2: ax + b = c; 3: with negative numbers; 4: x on both sides; 5: as 3, "
           "fractions; 6: as 4, fractions; 7: brackets, fractions",
           1, 7, 2, MakeEquation, GradeEquation}};
}

}  // namespace lorikeet
