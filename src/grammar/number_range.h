// A `NumberRange` is a set of JSON numbers between two bounds, and adds its numbers in decimal form
// to the rules of a grammar.
#pragma once
#include <optional>
#include <string>

#include "core/json.h"
#include "grammar/rules.h"

namespace lorikeet {

// A finite decimal number: the digits before and after the point, without superfluous zeros.
struct Decimal {
  bool negative = false;
  std::string whole{}, fraction{};

  // `number`: a JSON number; a double stands for its shortest decimal form.
  static Decimal Of(const OrderedJson& number);
  bool is_zero() const { return whole.empty() && fraction.empty(); }
  bool is_integer() const { return fraction.empty(); }
};
// Negative, 0 or positive as a < b, a == b, a > b.
int Compare(const Decimal& a, const Decimal& b);

struct NumberRange {
  struct Bound {
    Decimal value;
    bool exclusive = false;
  };
  std::optional<Bound> low{}, high{};
  bool integers = false;  // only numbers without a fraction
  int64_t multiple = 1;   // integers only: multiples of this

  bool bounded() const { return low || high || multiple != 1; }
  void RaiseLow(Bound bound);  // keeps the tighter bound
  void LowerHigh(Bound bound);
  // `number`: a JSON number.
  bool Contains(const OrderedJson& number) const;
};
// Digits of a number with bounds, before and after the point together: a decimal number of so many
// digits and its nearest double determine each other, so both readings satisfy the bounds.
inline constexpr int kMaxBoundedDigits = 15;
inline constexpr int64_t kMaxMultiple = 1000;

// Adds the numbers of a bounded range, without exponents and -0, as a rule; with integers at most
// kMaxDigits digits (grammar/json_rules.h), else at most kMaxBoundedDigits. Throws
// Error(kUnsupported) naming `where` for a bound with more digits than that.
GrammarNode AddNumberRule(const NumberRange& range, const std::string& where, GrammarRules* rules);

}  // namespace lorikeet
