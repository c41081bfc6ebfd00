#include "verify/expression_value.h"

#include "core/error.h"
#include "core/text.h"
#include "verify/answer.h"

namespace lorikeet {
namespace {

using math::Rational;

constexpr size_t kMaxBytes = 1000, kMaxNumbers = 64, kMaxDigits = 9;
constexpr int kMaxDepth = 50;

[[noreturn]] void Refuse(const char* why) { Fail(ErrorCode::kInvalidArgument, "{}", why); }

class Evaluator {
 public:
  explicit Evaluator(std::string_view text) : text_(text) {}

  Rational Run() {
    Rational value = Sum();
    if (Peek() != '\0') Refuse("not an expression of + - * / and brackets");
    return value;
  }
  std::vector<int64_t>& numbers() { return numbers_; }

 private:
  char Peek() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool Take(char c) {
    if (Peek() != c) return false;
    ++at_;
    return true;
  }

  Rational Sum() {
    if (++depth_ > kMaxDepth) Refuse("too many brackets");
    Rational value = Product();
    for (;;) {
      if (Take('+')) {
        value = value + Product();
      } else if (Take('-')) {
        value = value - Product();
      } else {
        --depth_;
        return value;
      }
    }
  }

  Rational Product() {
    Rational value = Operand();
    for (;;) {
      if (Take('*')) {
        value = value * Operand();
      } else if (Take('/')) {
        value = value / Operand();  // throws for a division by zero
      } else {
        return value;
      }
    }
  }

  Rational Operand() {
    bool negative = false;
    while (Peek() == '-' || Peek() == '+') negative ^= text_[at_++] == '-';
    Rational value = Peek() == '(' ? Bracket() : Number();
    return negative ? -value : value;
  }

  Rational Bracket() {
    Take('(');
    Rational value = Sum();
    if (!Take(')')) Refuse("a bracket is not closed");
    return value;
  }

  Rational Number() {
    if (!IsAsciiDigit(Peek())) Refuse("a number is missing");
    int64_t value = 0;
    size_t digits = 0;
    for (; at_ < text_.size() && IsAsciiDigit(text_[at_]); ++at_, ++digits) {
      if (digits == kMaxDigits) Refuse("a number of more than 9 digits");
      value = value * 10 + (text_[at_] - '0');
    }
    if (numbers_.size() == kMaxNumbers) Refuse("more than 64 numbers");
    numbers_.push_back(value);
    return Rational(value);
  }

  std::string_view text_;
  size_t at_ = 0;
  int depth_ = 0;
  std::vector<int64_t> numbers_;
};

}  // namespace

ExpressionValue EvaluateExpression(std::string_view text) {
  ExpressionValue result;
  if (text.size() > kMaxBytes) {
    result.error = "an expression of more than 1000 bytes";
    return result;
  }
  Evaluator evaluator(text);
  try {
    result.value = evaluator.Run();
  } catch (const Error& error) {
    result.error = error.what();
  }
  result.numbers = std::move(evaluator.numbers());
  return result;
}

}  // namespace lorikeet
