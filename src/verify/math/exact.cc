#include "verify/math/exact.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "core/random.h"

namespace lorikeet::math {
namespace {

using Value = std::optional<Quotient>;

constexpr int64_t kMaxFactorial = 3300;  // larger ones are no Integer

// Functions of rational numbers whose value is rational.
class RationalFunction {
 public:
  RationalFunction(const std::vector<Rational>& arguments, Budget& budget)
      : x_(arguments), budget_(budget) {}

  std::optional<Rational> Call(const std::string& name) const {
    if (name == "gcd" || name == "lcm" || name == "min" || name == "max") return Fold(name);
    if (name == "binom") return x_.size() == 2 ? Binomial() : std::nullopt;
    if (x_.size() != 1) return std::nullopt;
    const Rational& x = x_[0];
    if (name == "abs") return x.negative() ? -x : x;
    if (name == "floor") return Rational(x.Floor());
    if (name == "ceil") return -Rational((-x).Floor());
    if (name == "sgn") return Rational(x.negative() ? -1 : x.zero() ? 0 : 1);
    if (name != "factorial") return std::nullopt;
    const std::optional<int64_t> n = x.ToInt64();
    if (!n || *n < 0) return std::nullopt;
    if (*n > kMaxFactorial) Fail(ErrorCode::kOutOfMemory, "a factorial of {}", *n);
    budget_.SpendWork(1 + *n / 2);
    return Rational(Integer::Factorial(static_cast<uint32_t>(*n)));
  }

 private:
  std::optional<Rational> Fold(const std::string& name) const {
    Rational result = x_[0];
    for (const Rational& x : x_) {
      budget_.SpendWork(1 + x.size() * x.size() / 256);
      if (name == "min" || name == "max") {
        if ((x < result) == (name == "min")) result = x;
        continue;
      }
      if (!x.integer() || !result.integer()) return std::nullopt;
      const Integer gcd = Integer::Gcd(x.num(), result.num());
      if (name == "gcd") {
        result = Rational(gcd);
      } else if (gcd.zero()) {
        return Rational();
      } else {
        result = Rational((x.num() * result.num() / gcd).Abs());
      }
    }
    return result;
  }

  std::optional<Rational> Binomial() const {
    const std::optional<int64_t> n = x_[0].ToInt64(), k = x_[1].ToInt64();
    if (!n || !k || *n < 0 || *k < 0) return std::nullopt;
    if (*k > *n) return Rational();
    const int64_t steps = std::min(*k, *n - *k);
    if (steps > kMaxFactorial) Fail(ErrorCode::kOutOfMemory, "a binomial of {}", *n);
    budget_.SpendWork(1 + steps);
    return Rational(Integer::Binomial(*n, static_cast<uint32_t>(steps)));
  }

  const std::vector<Rational>& x_;
  Budget& budget_;
};

class Evaluator {
 public:
  explicit Evaluator(Scope& scope) : scope_(scope), budget_(scope.budget) {}

  Value Of(const Expression& e) {
    budget_.SpendWork(1);
    switch (e.kind) {
      case Kind::kNumber:
        return Number(e.number);
      case Kind::kSymbol:
        return Quotient{scope_.ValueOf(e.text), Polynomial(Rational(1))};
      case Kind::kSum:
        return Fold(e, Number(Rational()), Plus);
      case Kind::kProduct:
        return Fold(e, Number(Rational(1)), Times);
      case Kind::kNegate:
        return Negated(e);
      case Kind::kInverse: {
        const Value value = Of(e.children[0]);
        return value ? Value(Inverse(*value, budget_)) : std::nullopt;
      }
      case Kind::kPower:
        return Raised(e.children[0], Of(e.children[1]));
      case Kind::kRoot: {
        const Value degree = Of(e.children[1]);
        return Raised(e.children[0], degree ? Value(Inverse(*degree, budget_)) : std::nullopt);
      }
      case Kind::kPercent: {
        const Value value = Of(e.children[0]);
        return value ? Value(Times(*value, Number(Rational(Integer(1), Integer(100))), budget_))
                     : std::nullopt;
      }
      case Kind::kDegrees:
        return Of(e.children[0]);
      case Kind::kFunction:
        return Function(e);
      default:
        return std::nullopt;
    }
  }

 private:
  Value Fold(const Expression& e, Quotient start,
             Quotient (*combine)(const Quotient&, const Quotient&, Budget&)) {
    for (const Expression& child : e.children) {
      const Value value = Of(child);
      if (!value) return std::nullopt;
      start = combine(start, *value, budget_);
    }
    return start;
  }

  Value Negated(const Expression& e) {
    Value value = Of(e.children[0]);
    if (value) value->num = Negative(value->num);
    return value;
  }

  Value Raised(const Expression& base, const Value& exponent) {
    if (!exponent) return std::nullopt;
    const std::optional<Rational> rational = ToRational(*exponent);
    if (!rational && !scope_.atoms) return std::nullopt;
    const Value value = Of(base);
    if (!value) return std::nullopt;
    if (scope_.atoms) return PowerOf(*value, *exponent, *scope_.atoms, budget_);
    return Power(*value, *rational, budget_);
  }

  Value Function(const Expression& e) {
    std::vector<Quotient> arguments;
    std::vector<Rational> rationals;
    for (const Expression& child : e.children) {
      const Value argument = Of(child);
      if (!argument) return std::nullopt;
      if (const std::optional<Rational> rational = ToRational(*argument)) {
        rationals.push_back(*rational);
      }
      arguments.push_back(*argument);
    }
    const bool large = scope_.atoms && e.text == "factorial" && rationals.size() == 1 &&
                       rationals[0] > Rational(kMaxFactorial);
    if (rationals.size() == arguments.size() && !large) {
      if (auto value = RationalFunction(rationals, budget_).Call(e.text)) return Number(*value);
    }
    return scope_.atoms ? FunctionOf(e.text, arguments, *scope_.atoms, budget_) : std::nullopt;
  }

  Scope& scope_;
  Budget& budget_;
};

}  // namespace

Polynomial Scope::ValueOf(const std::string& symbol) {
  if (symbol == "i") return Polynomial::Generator(kImaginary);
  if (symbol == "e") return Polynomial::Generator(kEuler);
  if (symbol == "\\pi") return Polynomial::Generator(kPi);
  if (symbol == "\\infty") return Polynomial::Generator(kInfinity);
  if (point) {
    constexpr uint64_t kMax = 60;
    const uint64_t value =
        RandomStream(0, "math exact", symbol).Below(static_cast<uint64_t>(*point), kMax);
    return Polynomial(Rational(static_cast<int64_t>(value) + 2));
  }
  const auto next = kFirstVariable - static_cast<int64_t>(variables.size());
  return Polynomial::Generator(variables.try_emplace(symbol, next).first->second);
}

std::optional<Quotient> ExactValue(const Expression& expression, Scope& scope) {
  return Evaluator(scope).Of(expression);
}

}  // namespace lorikeet::math
