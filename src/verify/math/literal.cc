#include "verify/math/literal.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "core/error.h"

namespace lorikeet::math {
namespace {

constexpr size_t kMaxExponentDigits = 9;

Integer PowerOfTen(size_t exponent) {
  return Integer::Power(Integer(10), static_cast<uint32_t>(exponent));
}

Expression Plain(std::string_view text) {
  const size_t point = std::min(text.find('.'), text.size());
  const std::string_view behind = text.substr(std::min(point + 1, text.size()));
  std::string digits(text.substr(0, point));
  digits += behind;
  return {.kind = Kind::kNumber,
          .text = std::string(text),
          .number = Rational(Integer::FromDigits(digits), PowerOfTen(behind.size())),
          .decimal = !behind.empty()};
}

}  // namespace

Expression SmallNumber(int64_t value) {
  return {.kind = Kind::kNumber, .text = std::to_string(value), .number = Rational(value)};
}

Expression Unary(Kind kind, Expression child, std::string text) {
  Expression node{.kind = kind, .text = std::move(text)};
  node.children.push_back(std::move(child));
  return node;
}

Expression Binary(Kind kind, Expression first, Expression second, std::string text) {
  Expression node = Unary(kind, std::move(first), std::move(text));
  node.children.push_back(std::move(second));
  return node;
}

Expression Literal(std::string_view text) {
  const size_t e = text.find('e');
  Expression number = Plain(text.substr(0, e));
  if (e == std::string_view::npos) return number;
  const std::string_view exponent = text.substr(e + 1);
  if (exponent.size() > kMaxExponentDigits) {
    Fail(ErrorCode::kInvalidArgument, "the exponent {}", exponent);
  }
  int64_t power = 0;
  std::from_chars(exponent.data(), exponent.data() + exponent.size(), power);
  number.decimal = number.decimal || power < 0;
  return Binary(Kind::kProduct, std::move(number),
                Binary(Kind::kPower, SmallNumber(10), SmallNumber(power)));
}

Expression RepeatingLiteral(std::string_view start, std::string_view period) {
  Expression number = Plain(start);
  const size_t behind = start.size() - std::min(start.find('.') + 1, start.size());
  const Integer nines = PowerOfTen(period.size()) - Integer(1);
  number.number = number.number + Rational(Integer::FromDigits(period), nines * PowerOfTen(behind));
  number.text += period;
  number.decimal = false;  // all of its digits are known
  return number;
}

Expression EllipsisLiteral(std::string_view text, bool twice) {
  const std::string_view behind = text.substr(std::min(text.find('.') + 1, text.size()));
  for (size_t length = 1; 2 * length <= behind.size(); ++length) {
    const std::string_view period = behind.substr(behind.size() - length);
    size_t count = 1;
    while ((count + 1) * length <= behind.size() &&
           behind.substr(behind.size() - (count + 1) * length, length) == period) {
      ++count;
    }
    const bool repeats = count >= 3 || (count == 2 && length > 1 && twice);
    if (repeats) return RepeatingLiteral(text.substr(0, text.size() - count * length), period);
  }
  return Plain(text);
}

}  // namespace lorikeet::math
