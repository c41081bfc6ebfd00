#include "grammar/number_range.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string_view>
#include <tuple>

#include "core/error.h"
#include "grammar/json_rules.h"

namespace lorikeet {
namespace {

// Digits of two numbers without signs, as if of one length before and after the point.
int CompareMagnitude(const Decimal& a, const Decimal& b) {
  if (a.whole.size() != b.whole.size()) return a.whole.size() < b.whole.size() ? -1 : 1;
  const int whole = a.whole.compare(b.whole);
  return whole != 0 ? whole : a.fraction.compare(b.fraction);
}

// Numbers without a sign between two bounds that are not negative, digit by digit.
class MagnitudeRules {
 public:
  MagnitudeRules(const NumberRange& range, int max_whole, int max_digits, GrammarNode end,
                 GrammarRules* rules)
      : range_(range), max_whole_(max_whole), max_digits_(max_digits), end_(end), rules_(rules) {}

  void Add(GrammarNode from) {
    for (int count = 1; count <= max_whole_; ++count) {
      Place place{.length = count, .whole = count};
      place.at_low = range_.low && !Pad(&range_.low->value, count, &low_, &place);
      if (place.out) continue;
      place.at_high = range_.high && !Pad(&range_.high->value, count, &high_, &place, true);
      if (place.out) continue;
      rules_->Skip(from, NodeOf(place));
    }
  }

 private:
  // Progress within a number.
  struct Place {
    int length = 0;                        // number of digits before the point
    int whole = 0;                         // those of them that are still to be read
    int fraction = 0;                      // digits read after the point
    bool in_fraction = false;              // the point has been read
    bool at_low = false, at_high = false;  // all digits so far are those of the bound
    int64_t rest = 0;                      // remainder of the digits so far
    bool out = false;
  };

  // Digits of a bound for numbers of `count` digits before the point. True if all such numbers are
  // on the bound's inner side; sets `out` if none is.
  static bool Pad(const Decimal* bound, int count, std::string* digits, Place* place,
                  bool is_high = false) {
    const auto size = static_cast<int>(std::max<size_t>(bound->whole.size(), 1));
    if (size != count) {
      place->out = is_high ? size < count : size > count;
      return true;
    }
    *digits = (bound->whole.empty() ? "0" : bound->whole) + bound->fraction;
    return false;
  }

  GrammarNode NodeOf(const Place& place) {
    const bool tight = place.at_low || place.at_high;
    const auto key =
        std::tuple(place.whole, place.fraction, place.in_fraction,
                   // the length matters to the digits of a bound, to the first digit
                   // and to the number of digits after the point
                   tight || place.whole == place.length || !range_.integers ? place.length : 0,
                   place.at_low, place.at_high, place.rest);
    const auto [found, added] = nodes_.try_emplace(key, kNoNode);
    if (!added) return found->second;
    const GrammarNode node = rules_->AddNode();
    found->second = node;
    if (MayEnd(place)) rules_->Skip(node, end_);
    AddDigits(place, node);
    return node;
  }

  static char DigitAt(const std::string& digits, int at) {
    return at < static_cast<int>(digits.size()) ? digits[at] : '0';
  }
  static bool IsZeroFrom(const std::string& digits, int at) {
    return at >= static_cast<int>(digits.size()) ||
           digits.find_first_not_of('0', at) == std::string::npos;
  }

  bool MayEnd(const Place& place) const {
    if (place.whole > 0 || (place.in_fraction && place.fraction == 0)) return false;
    if (place.rest != 0) return false;
    const int at = place.length + place.fraction;
    if (place.at_low && !(IsZeroFrom(low_, at) && !range_.low->exclusive)) return false;
    return !(place.at_high && range_.high->exclusive && IsZeroFrom(high_, at));
  }

  void AddDigits(const Place& place, GrammarNode node) {
    const bool whole = place.whole > 0;
    if (!whole && !place.in_fraction) {
      if (range_.integers || place.length >= max_digits_) return;
      Place next = place;
      next.in_fraction = true;
      rules_->Byte(node, '.', NodeOf(next));
      return;
    }
    if (!whole && place.length + place.fraction >= max_digits_) return;
    const int at = place.length - place.whole + place.fraction;
    const bool first = place.whole == place.length && place.length > 1;
    const char from = std::max(place.at_low ? DigitAt(low_, at) : '0', first ? '1' : '0');
    const char to = place.at_high ? DigitAt(high_, at) : '9';
    for (char digit = from; digit <= to; ++digit) {
      Place next = place;
      next.at_low = place.at_low && digit == DigitAt(low_, at);
      next.at_high = place.at_high && digit == DigitAt(high_, at);
      next.rest = (place.rest * 10 + (digit - '0')) % range_.multiple;
      whole ? --next.whole : ++next.fraction;
      rules_->Byte(node, digit, NodeOf(next));
    }
  }

  const NumberRange& range_;
  const int max_whole_, max_digits_;
  const GrammarNode end_;
  GrammarRules* rules_;
  std::string low_, high_;  // digits of the bounds
  std::map<std::tuple<int, int, bool, int, bool, bool, int64_t>, GrammarNode> nodes_;
};

NumberRange::Bound Negated(NumberRange::Bound bound) {
  bound.value.negative = !bound.value.negative && !bound.value.is_zero();
  return bound;
}

bool IsNegative(const NumberRange::Bound& bound) { return bound.value.negative; }

void CheckDigits(const std::optional<NumberRange::Bound>& bound, const std::string& where) {
  if (!bound) return;
  const size_t whole = std::max<size_t>(bound->value.whole.size(), 1);
  if (whole + bound->value.fraction.size() <= kMaxBoundedDigits) return;
  Fail(ErrorCode::kUnsupported, "{}: a bound of `number` with more than {} digits is not supported",
       where, kMaxBoundedDigits);
}

// Drops an upper bound above all numbers that are written, or a lower one below them.
void DropWide(std::optional<NumberRange::Bound>* bound, int max_whole, bool is_low) {
  const bool wide = *bound && static_cast<int>((*bound)->value.whole.size()) > max_whole;
  if (wide && (*bound)->value.negative == is_low) bound->reset();
}

}  // namespace

Decimal Decimal::Of(const OrderedJson& number) {
  std::string text;
  if (number.is_number_unsigned()) {
    text = fmt::format("{}", number.get<uint64_t>());
  } else if (number.is_number_integer()) {
    text = fmt::format("{}", number.get<int64_t>());
  } else {
    text = fmt::format("{}", number.get<double>());
  }
  Decimal out;
  std::string_view rest = text;
  const bool minus = rest.starts_with('-');
  if (minus) rest.remove_prefix(1);
  const size_t e = std::min(rest.find('e'), rest.size());
  int exponent = e < rest.size() ? std::stoi(std::string(rest.substr(e + 1))) : 0;
  rest = rest.substr(0, e);
  const size_t point = std::min(rest.find('.'), rest.size());
  std::string digits(rest.substr(0, point));
  exponent += static_cast<int>(digits.size());
  if (point < rest.size()) digits += rest.substr(point + 1);
  if (exponent < 0) digits.insert(0, -exponent, '0'), exponent = 0;
  if (digits.size() < static_cast<size_t>(exponent)) digits.resize(exponent, '0');
  out.whole = digits.substr(0, exponent);
  out.fraction = digits.substr(exponent);
  out.whole.erase(0, std::min(out.whole.find_first_not_of('0'), out.whole.size()));
  out.fraction.erase(out.fraction.find_last_not_of('0') + 1);
  out.negative = minus && !out.is_zero();
  return out;
}

int Compare(const Decimal& a, const Decimal& b) {
  if (a.negative != b.negative) return a.negative ? -1 : 1;
  return a.negative ? CompareMagnitude(b, a) : CompareMagnitude(a, b);
}

void NumberRange::RaiseLow(Bound bound) {
  const int order = low ? Compare(bound.value, low->value) : 1;
  if (order > 0 || (order == 0 && bound.exclusive)) low = std::move(bound);
}

void NumberRange::LowerHigh(Bound bound) {
  const int order = high ? Compare(bound.value, high->value) : -1;
  if (order < 0 || (order == 0 && bound.exclusive)) high = std::move(bound);
}

bool NumberRange::Contains(const OrderedJson& number) const {
  const Decimal value = Decimal::Of(number);
  if (integers && !value.is_integer()) return false;
  if (low) {
    const int order = Compare(value, low->value);
    if (order < 0 || (order == 0 && low->exclusive)) return false;
  }
  if (high) {
    const int order = Compare(value, high->value);
    if (order > 0 || (order == 0 && high->exclusive)) return false;
  }
  int64_t rest = 0;
  for (const char digit : value.whole) rest = (rest * 10 + (digit - '0')) % multiple;
  return rest == 0;
}

GrammarNode AddNumberRule(const NumberRange& range, const std::string& where, GrammarRules* rules) {
  NumberRange wide = range;
  const int max_whole = range.integers ? kMaxDigits : kMaxBoundedDigits;
  DropWide(&wide.low, max_whole, true);
  DropWide(&wide.high, max_whole, false);
  if (!range.integers) {
    CheckDigits(wide.low, where);
    CheckDigits(wide.high, where);
  }
  const GrammarNode rule = rules->AddRule(), end = rules->AddNode();
  rules->Accept(end);
  if (!wide.high || !IsNegative(*wide.high)) {
    NumberRange part = wide;
    if (part.low && IsNegative(*part.low)) part.low.reset();
    MagnitudeRules(part, max_whole, kMaxBoundedDigits, end, rules).Add(rule);
  }
  if (!wide.low || IsNegative(*wide.low)) {
    NumberRange part{.integers = wide.integers, .multiple = wide.multiple};
    part.low = NumberRange::Bound{.exclusive = true};  // below 0: no -0
    if (wide.high && IsNegative(*wide.high)) part.low = Negated(*wide.high);
    if (wide.low) part.high = Negated(*wide.low);
    const GrammarNode minus = rules->Literal(rule, "-");
    MagnitudeRules(part, max_whole, kMaxBoundedDigits, end, rules).Add(minus);
  }
  return rule;
}

}  // namespace lorikeet
