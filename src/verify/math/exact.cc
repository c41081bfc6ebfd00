#include "verify/math/exact.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "core/random.h"

namespace lorikeet::math {
namespace {

using Value = std::optional<Quotient>;

constexpr int64_t kMaxFactorial = 3000;

Quotient Number(const Rational& value) { return {Polynomial(value), Polynomial(Rational(1))}; }

// A denominator of one term becomes a factor of the numerator.
Quotient Divided(Polynomial num, Polynomial den, Budget& budget) {
  if (den.zero()) Fail(ErrorCode::kInvalidArgument, "a division by zero");
  if (num.zero()) return Number(Rational());
  if (den.size() > 1) return {std::move(num), std::move(den)};
  const std::optional<Polynomial> inverse = TermPower(den, Rational(-1), budget);
  return {Product(num, *inverse, budget), Polynomial(Rational(1))};
}

Quotient Plus(const Quotient& a, const Quotient& b, Budget& budget) {
  if (a.den == b.den) return Divided(Sum(a.num, b.num, budget), a.den, budget);
  return Divided(Sum(Product(a.num, b.den, budget), Product(b.num, a.den, budget), budget),
                 Product(a.den, b.den, budget), budget);
}

Quotient Times(const Quotient& a, const Quotient& b, Budget& budget) {
  return Divided(Product(a.num, b.num, budget), Product(a.den, b.den, budget), budget);
}

Quotient Inverse(const Quotient& a, Budget& budget) { return Divided(a.den, a.num, budget); }

Polynomial WholePower(Polynomial base, int64_t exponent, Budget& budget) {
  Polynomial power(Rational(1));
  for (; exponent > 0; exponent >>= 1) {
    if ((exponent & 1) != 0) power = Product(power, base, budget);
    if (exponent > 1) base = Product(base, base, budget);
  }
  return power;
}

Value Power(const Quotient& base, const Rational& exponent, Budget& budget) {
  if (exponent.zero()) {
    if (base.num.zero()) Fail(ErrorCode::kInvalidArgument, "zero to the power zero");
    return Number(Rational(1));
  }
  if (base.num.zero()) {
    if (exponent.negative()) Fail(ErrorCode::kInvalidArgument, "a division by zero");
    return Number(Rational());
  }
  if (base.num.size() == 1 && base.den.size() == 1) {
    const std::optional<Polynomial> power = TermPower(base.num, exponent, budget);
    return power ? Value({*power, Polynomial(Rational(1))}) : std::nullopt;
  }
  if (!exponent.integer()) return std::nullopt;
  const std::optional<int64_t> size = exponent.num().Abs().ToInt64();
  if (!size) Fail(ErrorCode::kOutOfMemory, "a power of a sum that is too high");
  const Quotient power =
      Divided(WholePower(base.num, *size, budget), WholePower(base.den, *size, budget), budget);
  return exponent.negative() ? Inverse(power, budget) : power;
}

Integer Factorial(int64_t n, Budget& budget) {
  Integer product(1);
  for (int64_t k = 2; k <= n; ++k) {
    budget.SpendWork(2 + product.size() / 16);
    product = product * Integer(k);
  }
  return product;
}

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
    return Rational(Factorial(*n, budget_));
  }

 private:
  std::optional<Rational> Fold(const std::string& name) const {
    Rational result = x_[0];
    for (const Rational& x : x_) {
      budget_.SpendWork(1 + x.size() * x.size());
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
    Integer product(1);
    for (int64_t i = 1; i <= steps; ++i) {
      budget_.SpendWork(4 + product.size() / 8);
      product = product * Integer(*n - steps + i) / Integer(i);
    }
    return Rational(product);
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
        return Raised(e.children[0], Constant(e.children[1]));
      case Kind::kRoot: {
        const std::optional<Rational> degree = Constant(e.children[1]);
        return Raised(e.children[0], degree ? std::optional(degree->Inverse()) : std::nullopt);
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

  std::optional<Rational> Constant(const Expression& e) {
    const Value value = Of(e);
    return value ? ToRational(*value) : std::nullopt;
  }

  Value Raised(const Expression& base, const std::optional<Rational>& exponent) {
    const Value value = exponent ? Of(base) : std::nullopt;
    return value ? Power(*value, *exponent, budget_) : std::nullopt;
  }

  Value Function(const Expression& e) {
    std::vector<Rational> arguments;
    for (const Expression& child : e.children) {
      const std::optional<Rational> argument = Constant(child);
      if (!argument) return std::nullopt;
      arguments.push_back(*argument);
    }
    const std::optional<Rational> value = RationalFunction(arguments, budget_).Call(e.text);
    return value ? Value(Number(*value)) : std::nullopt;
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

bool Equal(const Quotient& a, const Quotient& b, Budget& budget) {
  if (a.den == b.den) return a.num == b.num;
  return Product(a.num, b.den, budget) == Product(b.num, a.den, budget);
}

std::optional<Rational> ToRational(const Quotient& value) {
  return value.den.size() == 1 ? value.num.ToRational() : std::nullopt;
}

}  // namespace lorikeet::math
