// Countdown: reach a target from given numbers.
#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <optional>

#include "core/check.h"
#include "core/text.h"
#include "verify/answer.h"
#include "verify/expression_value.h"
#include "verify/tasks/rows.h"

namespace lorikeet {
namespace {

constexpr int64_t kMaxTarget = 999;

struct Term {
  int64_t value;
  std::string text;
  bool compound = false;

  std::string AsOperand() const { return compound ? "(" + text + ")" : text; }
};

// Two terms combined by a random operator whose result is a whole number above 0.
Term Combined(ProblemRandom& random, Term a, Term b) {
  if (a.value < b.value) std::swap(a, b);
  std::vector<char> signs = {'+'};
  if (a.value > b.value) signs.push_back('-');
  if (b.value > 1 && a.value * b.value <= kMaxTarget) signs.push_back('*');
  if (b.value > 1 && a.value % b.value == 0) signs.push_back('/');
  const char sign = random.PickFrom(signs);
  const int64_t value = sign == '+'   ? a.value + b.value
                        : sign == '-' ? a.value - b.value
                        : sign == '*' ? a.value * b.value
                                      : a.value / b.value;
  return {value, fmt::format("{} {} {}", a.AsOperand(), sign, b.AsOperand()), true};
}

struct Puzzle {
  std::vector<int64_t> numbers;
  Term solution;
};

// Absent if the target is too large or one of the numbers.
std::optional<Puzzle> TryPuzzle(ProblemRandom& random, int count) {
  const int64_t max = count == 2 ? 10 : count == 3 ? 20 : count == 4 ? 50 : 99;
  std::vector<Term> terms;
  Puzzle puzzle;
  for (int i = 0; i < count; ++i) {
    const int64_t number = random.Between(1, max);
    puzzle.numbers.push_back(number);
    terms.push_back({number, std::to_string(number)});
  }
  while (terms.size() > 1) {
    random.Shuffle(terms);
    Term combined = Combined(random, terms[terms.size() - 2], terms.back());
    terms.pop_back();
    terms.back() = std::move(combined);
  }
  puzzle.solution = terms[0];
  const int64_t target = puzzle.solution.value;
  const bool given = std::ranges::count(puzzle.numbers, target) > 0;
  if (target > kMaxTarget || given) return std::nullopt;
  return puzzle;
}

Question MakeCountdown(ProblemRandom& random, int difficulty) {
  std::optional<Puzzle> puzzle;
  for (int attempt = 0; attempt < 1000 && !puzzle; ++attempt)
    puzzle = TryPuzzle(random, difficulty);
  CHECK(puzzle);
  const int64_t target = puzzle->solution.value;
  return {.prompt = fmt::format(
              "Make {} from the numbers {}. Use each number at most once, with +, -, *, / and "
              "brackets. Reply with the expression only.",
              target, fmt::join(puzzle->numbers, ", ")),
          .answer = puzzle->solution.text,
          .data = {{"numbers", puzzle->numbers}, {"target", target}}};
}

// Other spellings of the operators; 'x' only where no letter touches it.
std::string PlainOperators(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, char>, 12> kSpellings = {{{"×", '*'},
                                                                             {"·", '*'},
                                                                             {"⋅", '*'},
                                                                             {"∗", '*'},
                                                                             {"\\times", '*'},
                                                                             {"\\cdot", '*'},
                                                                             {"÷", '/'},
                                                                             {"\\div", '/'},
                                                                             {"\u2212", '-'},
                                                                             {"\u2013", '-'},
                                                                             {"\\left", ' '},
                                                                             {"\\right", ' '}}};
  std::string plain;
  for (size_t i = 0; i < text.size();) {
    const std::string_view rest = text.substr(i);
    const auto* const found = std::ranges::find_if(
        kSpellings, [&](const auto& spelling) { return rest.starts_with(spelling.first); });
    if (found != kSpellings.end()) {
      plain.push_back(found->second);
      i += found->first.size();
      continue;
    }
    const bool touched = (!plain.empty() && IsAsciiLetter(plain.back())) ||
                         (rest.size() > 1 && IsAsciiLetter(rest[1]));
    plain.push_back((rest[0] == 'x' || rest[0] == 'X') && !touched ? '*' : rest[0]);
    ++i;
  }
  return plain;
}

// Characters of expressions, including those that the evaluator refuses: a part of "2^3 + 8" must
// not be taken for the whole.
bool IsExpressionChar(std::string_view line, size_t i) {
  const auto digit = [&](size_t at) { return at < line.size() && IsAsciiDigit(line[at]); };
  if (line[i] == '.') return i > 0 && digit(i - 1) && digit(i + 1);
  return digit(i) || std::string_view("+-*/()=^! ").find(line[i]) != std::string_view::npos;
}

// The last run of such characters in `line` with a number and an operator; "" if none. List signs
// and emphasis around it are not part of it.
std::string_view LastExpression(std::string_view line) {
  for (size_t end = line.size(); end > 0; --end) {
    size_t begin = end;
    while (begin > 0 && IsExpressionChar(line, begin - 1)) --begin;
    if (begin == end) continue;
    std::string_view run = Trimmed(line.substr(begin, end - begin));
    while (run.starts_with('*') || run.starts_with("- ")) run = Trimmed(run.substr(1));
    while (run.ends_with('*')) run = Trimmed(run.substr(0, run.size() - 1));
    const bool number = std::ranges::any_of(run, IsAsciiDigit);
    if (number && run.find_first_of("+-*/") != std::string_view::npos) return run;
    end = begin + 1;
  }
  return {};
}

// The expression of a region: in the last of its lines that has one.
std::string ExpressionIn(const Region& region) {
  const std::string plain = PlainOperators(region.text);
  std::string_view rest = plain;
  while (!rest.empty()) {
    const size_t at = rest.rfind('\n');
    const std::string_view line = at == std::string_view::npos ? rest : rest.substr(at + 1);
    const std::string_view expression = LastExpression(line);
    if (!expression.empty()) return std::string(expression);
    rest = at == std::string_view::npos ? std::string_view() : rest.substr(0, at);
  }
  return {};
}

// Whether `given` contains each of `used` as often as it is used.
bool Available(std::vector<int64_t> used, std::vector<int64_t> given) {
  std::ranges::sort(used);
  std::ranges::sort(given);
  return std::ranges::includes(given, used);
}

// One side of "expression = target". "" if it is right.
std::string FaultOf(std::string_view side, const Json& data) {
  const ExpressionValue result = EvaluateExpression(side);
  if (!result.error.empty()) return result.error;
  if (!Available(result.numbers, data.at("numbers").get<std::vector<int64_t>>())) {
    return "uses other numbers than those given, or one too often";
  }
  const math::Rational target(data.at("target").get<int64_t>());
  if (*result.value == target) return {};
  return fmt::format("is {}, not {}", result.value->ToString(), target.ToString());
}

// "expression", "expression = target" or "target = expression"; more sides must all be right.
Grade GradeExpression(std::string_view text, const Json& data) {
  const std::string target = std::to_string(data.at("target").get<int64_t>());
  size_t expressions = 0;
  for (std::string_view rest = text; rest.data() != nullptr;) {
    const size_t equals = rest.find('=');
    const std::string_view side = Trimmed(rest.substr(0, equals));
    rest = equals == std::string_view::npos ? std::string_view() : rest.substr(equals + 1);
    if (side == target) continue;
    const std::string fault = FaultOf(side, data);
    if (!fault.empty()) return Grade::Wrong(fmt::format("{} {}", Quoted(side), fault));
    ++expressions;
  }
  if (expressions == 0) return Grade::Wrong(Quoted(text) + " has no expression");
  return Grade::Correct(Quoted(text));
}

Grade GradeCountdown(const Problem& problem, std::string_view completion) {
  for (const Region& region : AnswerRegions(FinalText(completion), Extent::kLine)) {
    const std::string expression = ExpressionIn(region);
    if (!expression.empty()) return GradeExpression(expression, problem.data);
  }
  problem.data.at("target").get<int64_t>();  // an unusable problem is invalid for any answer
  return Grade::Wrong("no expression");
}

}  // namespace

std::vector<TaskRow> CountdownTasks() {
  return {{"countdown", "an expression of given numbers that has a given value", "numbers", 2, 6, 2,
           MakeCountdown, GradeCountdown}};
}

}  // namespace lorikeet
