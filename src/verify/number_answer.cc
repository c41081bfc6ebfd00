#include "verify/number_answer.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "core/error.h"
#include "core/text.h"

namespace lorikeet {
namespace {

using math::Integer;
using math::Rational;

constexpr size_t kMaxDigits = 400;
constexpr int kMaxExponent = 400;

bool IsGlue(char c) { return IsAsciiLetter(c) || c == '_'; }

struct Replacement {
  std::string_view from, to;
};
constexpr std::array<Replacement, 13> kReplacements = {{
    {"\u2212", "-"},  // minus sign
    {"\u2013", "-"},  // en dash
    {"\uFE63", "-"},
    {"\uFF0D", "-"},
    {"\u00A0", "\x01"},  // spaces between digits: see GroupSpaces
    {"\u2009", "\x01"},
    {"\u202F", "\x01"},
    {"\\,", "\x01"},
    {"{,}", ","},
    {"\\!", ""},
    {"\\$", "$"},
    {"\\%", "%"},
    {"\\left", ""},
}};

// Reads "{-7}" at text[*at], which contains only a whole number, and moves past it.
std::optional<std::string_view> BracedInteger(std::string_view text, size_t* at) {
  if (*at >= text.size() || text[*at] != '{') return std::nullopt;
  const size_t close = text.find('}', *at);
  if (close == std::string_view::npos) return std::nullopt;
  const std::string_view inside = Trimmed(text.substr(*at + 1, close - *at - 1));
  const std::string_view digits = inside.starts_with('-') ? inside.substr(1) : inside;
  if (digits.empty() || !std::all_of(digits.begin(), digits.end(), IsAsciiDigit)) {
    return std::nullopt;
  }
  *at = close + 1;
  return inside;
}

// "\frac{1}{2}" at text[*at] as "1/2".
std::optional<std::string> Fraction(std::string_view text, size_t* at) {
  for (const std::string_view command : {"\\frac", "\\dfrac", "\\tfrac"}) {
    if (!text.substr(*at).starts_with(command)) continue;
    size_t end = *at + command.size();
    const auto above = BracedInteger(text, &end);
    const auto below = above ? BracedInteger(text, &end) : std::nullopt;
    if (!below || below->starts_with('-')) return std::nullopt;
    *at = end;
    return std::string(*above) + "/" + std::string(*below);
  }
  return std::nullopt;
}

class NumberReader {
 public:
  NumberReader(std::string_view text, size_t begin, Grouping grouping)
      : text_(text), begin_(begin), at_(begin), grouping_(grouping) {}

  NumberSpan Read() {
    std::string digits = WholePart();
    int scale = 0;  // number of digits after the point
    if (Peek() == '.' && IsAsciiDigit(Peek(1))) {
      for (++at_; IsAsciiDigit(Peek()); ++at_, ++scale) digits.push_back(text_[at_]);
    }
    const int exponent = Exponent();
    NumberSpan span;
    if (digits.size() <= kMaxDigits && std::abs(exponent) <= kMaxExponent) {
      span.value = Value(digits, exponent - scale);
      Denominator(&span);
    } else {
      SkipDenominator();
    }
    Unit(&span);
    Sign(&span);
    span.begin = begin_;
    span.end = at_;
    if (!StandsPlain()) span.value.reset();
    return span;
  }

 private:
  char Peek(size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  bool IsGroupAt(size_t at) const {
    for (size_t i = at; i < at + 3; ++i) {
      if (i >= text_.size() || !IsAsciiDigit(text_[i])) return false;
    }
    return at + 3 >= text_.size() || !IsAsciiDigit(text_[at + 3]);
  }
  bool IsSeparator(char c) const {
    return grouping_ != Grouping::kNone &&
           (c == ',' || (c == ' ' && grouping_ == Grouping::kSpaces));
  }

  std::string WholePart() {
    std::string digits;
    while (IsAsciiDigit(Peek())) digits.push_back(text_[at_++]);
    if (digits.empty() || digits.size() > 3) return digits;
    const char separator = Peek();
    while (IsSeparator(separator) && Peek() == separator && IsGroupAt(at_ + 1)) {
      digits.append(text_.substr(at_ + 1, 3));
      at_ += 4;
    }
    return digits;
  }

  int Exponent() {
    if (Peek() != 'e' && Peek() != 'E') return 0;
    size_t end = at_ + 1;
    const bool negative = end < text_.size() && text_[end] == '-';
    if (end < text_.size() && (text_[end] == '-' || text_[end] == '+')) ++end;
    const size_t digits = end;
    int value = 0;
    for (; end < text_.size() && IsAsciiDigit(text_[end]); ++end) {
      value = std::min(value * 10 + (text_[end] - '0'), kMaxExponent + 1);
    }
    if (end == digits || (end < text_.size() && IsGlue(text_[end]))) return 0;
    at_ = end;
    return negative ? -value : value;
  }

  static Rational Value(std::string_view digits, int exponent) {
    const Integer whole = Integer::FromDigits(digits);
    const Integer power = Integer::Power(Integer(10), static_cast<uint32_t>(std::abs(exponent)));
    return exponent < 0 ? Rational(whole, power) : Rational(whole * power);
  }

  void SkipDenominator() {
    if (Peek() != '/' || !IsAsciiDigit(Peek(1))) return;
    for (++at_; IsAsciiDigit(Peek());) ++at_;
  }

  void Denominator(NumberSpan* span) {
    const size_t slash = at_;
    SkipDenominator();
    if (at_ == slash) return;
    const std::string_view digits = text_.substr(slash + 1, at_ - slash - 1);
    if (digits.size() > kMaxDigits || !span->value->integer()) return span->value.reset();
    const Integer below = Integer::FromDigits(digits);
    if (below.zero()) return span->value.reset();
    span->reduced = !below.one() && Integer::Gcd(span->value->num(), below).one();
    span->value = Rational(span->value->num(), below);
  }

  void Unit(NumberSpan* span) {
    if (Peek() == '%') ++at_;
    const size_t letter = text_.find_first_not_of(' ', at_);
    if (letter == std::string_view::npos || letter == at_) return;
    size_t end = letter;
    while (end < text_.size() && IsGlue(text_[end])) ++end;
    const std::string word = LowerAscii(text_.substr(letter, std::min<size_t>(end - letter, 20)));
    constexpr std::array<std::pair<std::string_view, int>, 4> kScales = {
        {{"thousand", 3}, {"million", 6}, {"billion", 9}, {"trillion", 12}}};
    for (const auto& [name, power] : kScales) {
      if (word != name && word != std::string(name) + "s") continue;
      at_ = end;
      if (span->value) span->value = *span->value * Value("1", power);
    }
  }

  // A minus before the digits, possibly with a currency sign between. It is a sign unless an
  // operand precedes it, or a space follows it (the dash of a list) and no '=' or ':' precedes it.
  void Sign(NumberSpan* span) {
    size_t at = begin_;
    while (at > 0 && text_[at - 1] == '$') --at;
    for (const std::string_view currency : {"€", "£"}) {
      if (text_.substr(0, at).ends_with(currency)) at -= currency.size();
    }
    size_t minus = at;
    while (minus > 0 && text_[minus - 1] == ' ') --minus;
    const bool spaced = minus != at;
    if (minus == 0 || (text_[minus - 1] != '-' && text_[minus - 1] != '+')) return;
    size_t before = --minus;
    const bool touched = before > 0 && text_[before - 1] != ' ';
    while (before > 0 && text_[before - 1] == ' ') --before;
    const char previous = before == 0 ? '\0' : text_[before - 1];
    const bool clause = previous == '=' || previous == ':';
    const bool operand = IsAsciiDigit(previous) || IsGlue(previous) || previous == ')' ||
                         previous == ']' || previous == '}';
    if (spaced ? !clause : operand && touched) return;
    if (text_[minus] == '-' && span->value) span->value = -*span->value;
    begin_ = minus;
  }

  // Whether the number is not part of a power, product, root or bound.
  bool StandsPlain() const {
    const std::string_view behind = text_.substr(at_);
    const std::string_view before = text_.substr(0, begin_);
    return !IsPower(behind) && !IsProduct(behind) && !IsBound(before);
  }

  static bool IsPower(std::string_view behind) {
    if (behind.starts_with("**")) return behind.size() > 2 && IsAsciiDigit(behind[2]);
    return behind.starts_with("^") || behind.starts_with("²") || behind.starts_with("³");
  }

  // "3x5", 3\times5: the second number is attached to letters, so that it is not found.
  static bool IsProduct(std::string_view behind) {
    const size_t begin = std::min(behind.find_first_not_of(" \\*"), behind.size());
    size_t end = begin;
    while (end < behind.size() && IsGlue(behind[end])) ++end;
    return end > begin && end < behind.size() && IsAsciiDigit(behind[end]);
  }

  static bool IsBound(std::string_view before) {
    while (before.ends_with(' ')) before.remove_suffix(1);
    for (const std::string_view bound : {"≤", "≥", "≠", "√", "<", "sqrt{", "sqrt("}) {
      if (before.ends_with(bound)) return true;
    }
    if (!before.ends_with('>') || before.ends_with("->") || before.ends_with("=>")) return false;
    size_t tag = before.size() - 1;  // <b>7</b>
    while (tag > 0 && (IsGlue(before[tag - 1]) || before[tag - 1] == '/')) --tag;
    return tag == 0 || before[tag - 1] != '<';
  }

  std::string_view text_;
  size_t begin_, at_;
  Grouping grouping_;
};

bool StartsNumber(std::string_view text, size_t at) {
  if (IsAsciiDigit(text[at])) return true;
  const bool after_digit = at > 0 && IsAsciiDigit(text[at - 1]);
  return text[at] == '.' && !after_digit && at + 1 < text.size() && IsAsciiDigit(text[at + 1]);
}

// A thin space between digits separates thousands, elsewhere it is a space.
void GroupSpaces(std::string* text) {
  for (size_t i = 0; i < text->size(); ++i) {
    if ((*text)[i] != '\x01') continue;
    const bool inside = i > 0 && IsAsciiDigit((*text)[i - 1]) && i + 1 < text->size() &&
                        IsAsciiDigit((*text)[i + 1]);
    (*text)[i] = inside ? ',' : ' ';
  }
}

NumberAnswer Taken(std::string_view text, const NumberSpan& span) {
  const std::string shown = Quoted(text.substr(span.begin, span.end - span.begin));
  if (!span.value) return {std::nullopt, true, fmt::format("{} is no number", shown)};
  return {span.value, span.reduced, shown};
}

NumberAnswer Ambiguous(std::string_view text, const NumberSpan& from, const NumberSpan& to) {
  return {
      std::nullopt, true,
      fmt::format("{} is not one number", Quoted(text.substr(from.begin, to.end - from.begin)))};
}

NumberAnswer FirstNumber(std::string_view text, size_t from) {
  const auto first = NextNumber(text, from, Grouping::kSpaces);
  if (!first) return {};
  const auto next = NextNumber(text, first->end, Grouping::kSpaces);
  if (next && Joined(text.substr(first->end, next->begin - first->end))) {
    return Ambiguous(text, *first, *next);
  }
  return Taken(text, *first);
}

NumberAnswer LastNumber(std::string_view text) {
  std::optional<NumberSpan> before, last;
  size_t end = 0;
  while (auto next = NextNumber(text, end, Grouping::kCommas)) {
    end = next->end;
    before = std::move(last);
    last = std::move(next);
  }
  if (!last) return {};
  if (before && Joined(text.substr(before->end, last->begin - before->end))) {
    return Ambiguous(text, *before, *last);
  }
  return Taken(text, *last);
}

}  // namespace

std::string PlainNumbers(std::string_view text) {
  std::string plain;
  for (size_t i = 0; i < text.size();) {
    if (const auto fraction = Fraction(text, &i)) {
      if (!plain.empty() && IsAsciiDigit(plain.back())) plain.push_back(' ');  // 7\frac{1}{3}
      plain += *fraction;
      continue;
    }
    const std::string_view rest = text.substr(i);
    const auto* const found =
        std::find_if(kReplacements.begin(), kReplacements.end(),
                     [&](const Replacement& r) { return rest.starts_with(r.from); });
    if (found != kReplacements.end()) {
      plain += found->to;
      i += found->from.size();
    } else {
      plain.push_back(text[i++]);
    }
  }
  GroupSpaces(&plain);
  return plain;
}

std::optional<NumberSpan> NextNumber(std::string_view text, size_t from, Grouping grouping) {
  for (size_t i = from; i < text.size(); ++i) {
    if (!StartsNumber(text, i)) continue;
    NumberSpan span = NumberReader(text, i, grouping).Read();
    if (i == 0 || !IsGlue(text[i - 1])) {
      span.begin = std::max(span.begin, from);
      return span;
    }
    i = span.end - 1;
  }
  return std::nullopt;
}

std::optional<Rational> ParseNumber(std::string_view text) {
  const std::string plain = PlainNumbers(Trimmed(text));
  const auto number = NextNumber(plain, 0, Grouping::kSpaces);
  if (!number || !number->value) return std::nullopt;
  const std::string_view before = Trimmed(std::string_view(plain).substr(0, number->begin));
  if (!before.empty() && before != "+" && before != "€" && before != "£" && before != "$") {
    return std::nullopt;
  }
  for (const char c : std::string_view(plain).substr(number->end)) {
    if (!IsAsciiLetter(c) && c != ' ' && c != '.' && c != '$') return std::nullopt;
  }
  return number->value;
}

NumberAnswer NumberIn(const Region& region) {
  const std::string plain = PlainNumbers(region.text);
  if (!region.marked) return LastNumber(plain);
  const size_t equals = plain.rfind('=');
  return FirstNumber(plain, equals == std::string::npos ? 0 : equals + 1);
}

NumberAnswer ReadNumberAnswer(std::string_view completion) {
  for (const Region& region : AnswerRegions(FinalText(completion), Extent::kLine)) {
    NumberAnswer answer = NumberIn(region);
    if (answer.value || !answer.reason.empty()) return answer;
  }
  return {std::nullopt, true, "no number"};
}

Grade CompareNumber(std::string_view reference, const NumberAnswer& answer) {
  const auto expected = ParseNumber(reference);
  if (!expected)
    return Grade::Invalid(fmt::format("the reference {} is no number", Quoted(reference)));
  if (!answer.value) return Grade::Wrong(answer.reason);
  if (*answer.value == *expected) return Grade::Correct();
  return Grade::Wrong(fmt::format("{} is not {}", answer.reason, Quoted(reference)));
}

Grade GradeNumber(const Problem& problem, std::string_view completion) {
  return CompareNumber(problem.answer, ReadNumberAnswer(completion));
}

}  // namespace lorikeet
