#include "verify/math/constant.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "verify/math/literal.h"
#include "verify/math/statement.h"

namespace lorikeet::math {
namespace {

constexpr int kFirstBits = 128;
constexpr int kMaxBits = 1 << 16;      // bits for algebraic numbers
constexpr int kMaxOpenBits = 1 << 13;  // of others: more bits can only show a difference

// The bound of a constant E = U / L with algebraic integers U and L: base-2 logarithms of what the
// absolute values of their conjugates do not exceed. If E is not zero, |E| >= 1 / (U^(degree-1) L).
class Separation {
 public:
  struct Bound {
    double above = 0, below = 0;
  };

  explicit Separation(Scope& scope) : scope_(scope) {}

  std::optional<int64_t> Bits(const Expression& e) {
    const std::optional<Bound> bound = Of(e);
    if (!bound) return std::nullopt;
    const double degree = degree_ * static_cast<double>(Totient(turns_));
    // The logarithms are rounded: far less than a millionth.
    const double bits = ((degree - 1) * bound->above + bound->below) * (1 + 1e-6) + 2;
    constexpr double kTooMany = 1e9;
    return bits < kTooMany ? std::optional(static_cast<int64_t>(bits)) : std::nullopt;
  }

 private:
  using Result = std::optional<Bound>;

  Result Of(const Expression& e) {
    scope_.budget.SpendWork(2);
    switch (e.kind) {
      case Kind::kNumber:
        return Bound{static_cast<double>(e.number.num().bits()),
                     static_cast<double>(e.number.den().bits())};
      case Kind::kSymbol:
        if (e.text != "i") return std::nullopt;
        return Turn(4);
      case Kind::kSum:
        return Sum(e);
      case Kind::kProduct:
        return Product(e);
      case Kind::kNegate:
      case Kind::kDegrees:  // those inside functions are multiples of pi by now
        return Of(e.children[0]);
      case Kind::kInverse:
        return Inverted(Of(e.children[0]));
      case Kind::kPercent: {
        Result value = Of(e.children[0]);
        if (value) value->below += 7;  // 100 < 2^7
        return value;
      }
      case Kind::kPower:
        return Power(e);
      case Kind::kRoot:
        if (e.children[1].kind != Kind::kNumber || e.children[1].number.zero()) return std::nullopt;
        return RationalPower(e, e.children[1].number.Inverse());
      case Kind::kFunction:
        return Function(e);
      default:
        return std::nullopt;
    }
  }

  // Degree of the roots of unity of order n.
  static int64_t Totient(int64_t n) {
    int64_t result = n, rest = n;
    for (int64_t p = 2; p * p <= rest; ++p) {
      if (rest % p != 0) continue;
      while (rest % p == 0) rest /= p;
      result -= result / p;
    }
    return rest > 1 ? result - result / rest : result;
  }

  // A root of unity of this order.
  Bound Turn(int64_t order) {
    constexpr int64_t kMaxOrder = 1 << 20;
    turns_ = std::lcm(turns_, std::min(order, kMaxOrder));
    if (turns_ > kMaxOrder) Fail(ErrorCode::kOutOfMemory, "angles of too many parts");
    return {};
  }

  static Result Inverted(Result value) {
    if (value) std::swap(value->above, value->below);
    return value;
  }

  Result Sum(const Expression& e) {
    Bound sum{-1, 0};
    std::vector<Bound> parts;
    for (const Expression& child : e.children) {
      const Result part = Of(child);
      if (!part) return std::nullopt;
      parts.push_back(*part);
      sum.below += part->below;
    }
    for (const Bound& part : parts) {
      sum.above = std::max(sum.above, part.above + sum.below - part.below);
    }
    if (parts.empty()) return Bound{};
    sum.above = std::max(0.0, sum.above) + std::log2(static_cast<double>(parts.size()));
    return sum;
  }

  Result Product(const Expression& e) {
    Bound product;
    for (const Expression& child : e.children) {
      const Result part = Of(child);
      if (!part) return std::nullopt;
      product.above += part->above;
      product.below += part->below;
    }
    return product;
  }

  Result Power(const Expression& e) {
    if (e.children[1].kind == Kind::kNumber) return RationalPower(e, e.children[1].number);
    const bool euler = e.children[0].kind == Kind::kSymbol && e.children[0].text == "e";
    const auto turn = euler ? MultipleOfPi(e.children[1], true, scope_) : std::nullopt;
    return turn ? Result(TurnOf(*turn)) : std::nullopt;
  }

  Result RationalPower(const Expression& e, const Rational& exponent) {
    const Result base = Of(e.children[0]);
    const std::optional<int64_t> num = exponent.num().Abs().ToInt64(),
                                 den = exponent.den().ToInt64();
    if (!base || !num || !den) return std::nullopt;
    const auto p = static_cast<double>(*num), q = static_cast<double>(*den);
    Bound root = *base;
    if (*den > 1) {
      CountRoot(e, *den);
      if (base->above >= base->below) {
        root.above = (base->above + (q - 1) * base->below) / q;
      } else {
        root.below = ((q - 1) * base->above + base->below) / q;
      }
    }
    root.above *= p;
    root.below *= p;
    return exponent.negative() ? Inverted(root) : Result(root);
  }

  // Roots of the same number count once; roots of rational numbers by those of their primes.
  void CountRoot(const Expression& e, int64_t degree) {
    const Expression& base = e.children[0];
    std::vector<std::pair<int64_t, int32_t>> primes;
    if (base.kind == Kind::kNumber && !base.number.zero() &&
        Factorise(base.number.num().Abs(), &primes, scope_.budget) &&
        Factorise(base.number.den(), &primes, scope_.budget)) {
      if (base.number.negative()) Turn(2 * degree);
      for (const auto& [prime, count] : primes) CountKey(std::to_string(prime), degree);
    } else {
      CountKey(OrderedText(base), degree);
    }
  }
  void CountKey(const std::string& base, int64_t degree) {
    if (roots_.insert({base, degree}).second) degree_ *= static_cast<double>(degree);
  }

  // exp(i pi r): a root of unity of order 2 den(r).
  Bound TurnOf(const Rational& r) {
    const std::optional<int64_t> den = r.den().ToInt64();
    constexpr int64_t kMany = 1 << 20;
    return Turn(2 * std::min(den.value_or(kMany), kMany));
  }

  Result Function(const Expression& e) {
    if (e.children.size() != 1) return std::nullopt;
    const Expression& argument = e.children[0];
    if (e.text == "exp") {
      const auto turn = MultipleOfPi(argument, true, scope_);
      return turn ? Result(TurnOf(*turn)) : std::nullopt;
    }
    if (e.text == "abs") {  // |x| is x or -x
      const Box value = Enclose(argument, 0, kFirstBits, scope_).box;
      return value.real ? Of(argument) : std::nullopt;
    }
    const bool wave = e.text == "sin" || e.text == "cos" || e.text == "sec" || e.text == "csc";
    if (!wave && e.text != "tan" && e.text != "cot") return std::nullopt;
    const auto turn = MultipleOfPi(argument, false, scope_);
    if (!turn) return std::nullopt;
    TurnOf(*turn);
    if (e.text != "cos" && e.text != "sec") Turn(4);
    return wave ? Bound{1, 1} : Bound{2, 2};  // 2 cos(x) / 2, and the quotient of two such
  }

  Scope& scope_;
  double degree_ = 1;
  int64_t turns_ = 1;
  std::set<std::pair<std::string, int64_t>> roots_;  // base and degree of those that degree_ counts
};

struct Decision {
  Zero zero = Zero::kOpen;
  Box value;
};

Decision Decide(const Expression& e, Scope& scope) {
  std::optional<int64_t> separation;
  for (int bits = kFirstBits;; bits *= 2) {
    const Enclosure enclosure = Enclose(e, 0, bits, scope);
    const Box& box = enclosure.box;
    if (enclosure.undefined) return {Zero::kOpen, box};
    if (!box.broken()) {
      if (Apart(box, Box(Interval(bits)))) return {Zero::kNo, box};
      if (box.re.zero() && box.im.zero()) return {Zero::kYes, box};
    }
    if (bits == kFirstBits) separation = SeparationBits(e, scope);
    const auto below = [&](const Interval& x) {
      return !x.broken() && x.BelowPower(-*separation - 1);
    };
    if (separation && below(box.re) && below(box.im)) return {Zero::kYes, box};
    const bool reachable = separation && *separation < kMaxBits;
    if (bits >= (reachable ? kMaxBits : kMaxOpenBits)) return {Zero::kOpen, box};
  }
}

bool IsNumber(const Expression& e) { return e.kind == Kind::kNumber; }

Expression NumberNode(const Rational& value) { return {.kind = Kind::kNumber, .number = value}; }

Expression Times(const Expression& a, const Expression& b) { return Binary(Kind::kProduct, a, b); }

Expression Less(const Expression& a, const Expression& b) {
  return Binary(Kind::kSum, a, Unary(Kind::kNegate, b));
}

Expression PiTimes(const Rational& factor) {
  return Times(NumberNode(factor), {.kind = Kind::kSymbol, .text = "\\pi"});
}

// Rewrites one node whose children are simplified.
class Simplifier {
 public:
  explicit Simplifier(Scope& scope) : scope_(scope) {}

  Expression Of(const Expression& e, bool in_function) {
    scope_.budget.SpendWork(2);
    Expression result{.kind = e.kind, .text = e.text, .number = e.number, .decimal = e.decimal};
    for (const Expression& child : e.children) {
      result.children.push_back(Of(child, in_function || e.kind == Kind::kFunction));
    }
    if (e.kind == Kind::kDegrees && in_function) {
      return Times(result.children[0], PiTimes(Rational(Integer(1), Integer(180))));
    }
    return e.children.empty() || HasVariables(e) ? result : Evaluated(std::move(result));
  }

 private:
  Expression Evaluated(Expression e) {
    if (std::all_of(e.children.begin(), e.children.end(), IsNumber)) {
      if (const auto value = RationalValue(e)) return NumberNode(*value);
    }
    if (e.kind == Kind::kPower || e.kind == Kind::kRoot) return PositiveBase(std::move(e));
    if (e.kind != Kind::kFunction) return e;
    if (e.text == "min" || e.text == "max") return Extreme(std::move(e));
    if (e.children.size() != 1) return e;
    if (e.text == "abs" || e.text == "sgn") return Signed(std::move(e));
    if (e.text == "floor" || e.text == "ceil") return Rounded(std::move(e));
    if (e.text.starts_with("arc") || e.text.starts_with("a")) return Angle(std::move(e));
    return e;
  }

  std::optional<Rational> RationalValue(const Expression& e) {
    const int64_t before = scope_.budget.work;
    scope_.budget.work = before / 4;  // what takes too long stays
    std::optional<Rational> value;
    try {
      const std::optional<Quotient> quotient = ExactValue(e, scope_);
      value = quotient ? ToRational(*quotient) : std::nullopt;
    } catch (const Error&) {
    }
    scope_.budget.work = before - (before / 4 - std::max<int64_t>(0, scope_.budget.work));
    return value;
  }

  // The root of a negative number by that of a positive one.
  Expression PositiveBase(Expression e) {
    if (!IsNumber(e.children[1]) || e.children[1].number.zero()) return e;
    const bool root = e.kind == Kind::kRoot;
    const Rational exponent = root ? e.children[1].number.Inverse() : e.children[1].number;
    if (exponent.integer() || SignOf(e.children[0], scope_) != -1) return e;
    const bool odd = exponent.den().odd();
    if (!odd && exponent.den() != Integer(2)) return e;
    Expression size =
        Binary(Kind::kPower, Unary(Kind::kNegate, e.children[0]), NumberNode(exponent));
    if (odd) return exponent.num().odd() ? Unary(Kind::kNegate, std::move(size)) : size;
    Expression turn = Binary(Kind::kPower, {.kind = Kind::kSymbol, .text = "i"},
                             NumberNode(Rational(exponent.num())));
    return Times(turn, size);
  }

  Expression Signed(Expression e) {
    const std::optional<int> sign = SignOf(e.children[0], scope_);
    if (!sign) return e;
    if (e.text == "sgn" || *sign == 0) return NumberNode(Rational(*sign));
    return *sign > 0 ? e.children[0] : Unary(Kind::kNegate, e.children[0]);
  }

  // Tries the whole numbers around: the value may be one of them.
  Expression Rounded(Expression e) {
    const Enclosure enclosure = Enclose(e.children[0], 0, kFirstBits, scope_);
    if (!enclosure.box.real) return e;
    const Interval half(Rational(Integer(1), Integer(2)), kFirstBits);
    const std::optional<Integer> nearest = (enclosure.box.re + half).Rounded(false);
    if (!nearest) return e;
    const std::optional<int> side =
        SignOf(Less(e.children[0], NumberNode(Rational(*nearest))), scope_);
    if (!side) return e;
    const bool up = e.text == "ceil";
    const int step = up ? (*side > 0 ? 1 : 0) : (*side < 0 ? -1 : 0);
    return NumberNode(Rational(*nearest + Integer(step)));
  }

  Expression Extreme(Expression e) {
    Expression extreme = e.children[0];
    for (const Expression& child : e.children) {
      const std::optional<int> side = SignOf(Less(child, extreme), scope_);
      if (!side) return e;
      if (*side == (e.text == "max" ? 1 : -1)) extreme = child;
    }
    return extreme;
  }

  // arctan 1 is pi / 4: proven by tan(pi / 4) = 1.
  Expression Angle(Expression e) {
    const std::string name = e.text.starts_with("arc") ? e.text.substr(3) : e.text.substr(1);
    if (name != "sin" && name != "cos" && name != "tan" && name != "cot") return e;
    const Enclosure enclosure = Enclose(e, 0, kFirstBits, scope_);
    if (enclosure.box.broken() || !enclosure.box.real) return e;
    const Interval turns = enclosure.box.re * Interval::Pi(kFirstBits).Inverse();
    constexpr int64_t kMaxDenominator = 60;
    for (int64_t den = 1; den <= kMaxDenominator; ++den) {
      const Interval scaled = turns * Interval(Rational(den), kFirstBits);
      const Interval half(Rational(Integer(1), Integer(2)), kFirstBits);
      const std::optional<Integer> num = (scaled + half).Rounded(false);
      if (!num) continue;
      const Rational angle(*num, Integer(den));
      if (!(turns - Interval(angle, kFirstBits)).BelowPower(-kFirstBits / 2)) continue;
      const Expression value = Unary(Kind::kFunction, PiTimes(angle), name);
      const bool equal = IsZero(Less(value, e.children[0]), scope_) == Zero::kYes;
      return equal ? PiTimes(angle) : e;
    }
    return e;
  }

  Scope& scope_;
};

}  // namespace

std::optional<Rational> MultipleOfPi(const Expression& constant, bool imaginary, Scope& scope) {
  const std::optional<Quotient> value = ExactValue(constant, scope);
  if (!value || value->den.size() != 1) return std::nullopt;
  if (value->num.zero()) return Rational();
  Monomial pi = {{kPi, 1, 1}};
  if (imaginary) pi.push_back({kImaginary, 1, 1});
  const auto& [monomial, coefficient] = *value->num.terms().begin();
  if (value->num.size() != 1 || monomial != pi) return std::nullopt;
  return coefficient;
}

std::optional<int64_t> SeparationBits(const Expression& constant, Scope& scope) {
  return Separation(scope).Bits(constant);
}

Zero IsZero(const Expression& constant, Scope& scope) { return Decide(constant, scope).zero; }

std::optional<int> SignOf(const Expression& constant, Scope& scope) {
  const Decision decision = Decide(constant, scope);
  if (decision.zero == Zero::kYes) return 0;
  if (decision.zero == Zero::kOpen || !decision.value.real) return std::nullopt;
  return decision.value.re.positive() ? 1 : -1;
}

Expression Simplified(const Expression& expression, Scope& scope) {
  return Simplifier(scope).Of(expression, false);
}

}  // namespace lorikeet::math
