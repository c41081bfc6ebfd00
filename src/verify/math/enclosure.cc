#include "verify/math/enclosure.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "core/random.h"

namespace lorikeet::math {
namespace {

Interval Half(const Interval& x) {
  return x * Interval(Rational(Integer(1), Integer(2)), x.precision());
}

Box Negated(const Box& z) { return {-z.re, -z.im}; }

Box Sum(const Box& a, const Box& b) { return {a.re + b.re, a.im + b.im}; }

Box Reciprocal(const Box& z) {
  if (z.real) return Box(z.re.Inverse());
  const Interval norm = (z.re * z.re + z.im * z.im).Inverse();
  return {z.re * norm, -(z.im * norm)};
}

Box Exponential(const Box& z) {
  const Interval size = z.re.Exp();
  if (z.real) return Box(size);
  return {size * z.im.Cos(), size * z.im.Sin()};
}

// The angle of z in (-pi, pi]; broken if z may be on either side of the negative axis.
Interval Angle(const Box& z) {
  const int precision = z.re.precision();
  const Interval pi = Interval::Pi(precision);
  if (z.re.positive()) return (z.im * z.re.Inverse()).Atan();
  if (z.im.zero() && z.re.negative()) return pi;
  if (z.im.positive()) return Half(pi) - (z.re * z.im.Inverse()).Atan();
  if (z.im.negative()) return -Half(pi) - (z.re * z.im.Inverse()).Atan();
  return Interval::Broken(precision);
}

Box Logarithm(const Box& z) { return {Size(z).Log(), Angle(z)}; }

// Evaluates expressions at one choice of values for the variables.
class Encloser {
 public:
  Encloser(int point, int precision, Scope& scope)
      : point_(point), precision_(precision), scope_(scope) {}

  Enclosure Run(const Expression& e) {
    Enclosure result{Of(e)};
    result.complex = complex_;
    result.undefined = undefined_;
    return result;
  }

 private:
  int64_t limbs() const { return 1 + precision_ / 64; }
  void SpendOperation() { scope_.budget.SpendWork(4 + limbs() * limbs() / 64); }
  void SpendFunction() { scope_.budget.SpendWork(60 + limbs() * limbs() / 2); }

  Box None() const { return Box(Interval::Broken(precision_)); }
  Box Undefined() {
    undefined_ = true;
    return None();
  }
  Box Constant(const Rational& value) const { return Box(Interval(value, precision_)); }

  Box Of(const Expression& e) {
    SpendOperation();
    switch (e.kind) {
      case Kind::kNumber:
        return Constant(e.number);
      case Kind::kSymbol:
        return Symbol(e.text);
      case Kind::kSum:
        return Folded(e, Constant(Rational()), Sum);
      case Kind::kProduct:
        return Folded(e, Constant(Rational(1)), [](const Box& a, const Box& b) { return a * b; });
      case Kind::kNegate:
        return Negated(Of(e.children[0]));
      case Kind::kInverse:
        return Inverted(Of(e.children[0]));
      case Kind::kPercent:
        return Of(e.children[0]) * Constant(Rational(Integer(1), Integer(100)));
      case Kind::kDegrees:
        return Degrees(e);
      case Kind::kPower:
        return Power(e);
      case Kind::kRoot:
        return Root(Of(e.children[0]), e.children[1]);
      case Kind::kFunction:
        return Function(e);
      default:
        return Undefined();
    }
  }

  Box Folded(const Expression& e, Box value, Box (*combine)(const Box&, const Box&)) {
    for (const Expression& child : e.children) {
      SpendOperation();
      value = combine(value, Of(child));
    }
    return value;
  }

  static bool IsZero(const Box& z) { return z.real && z.re.zero(); }

  Box Inverted(const Box& z) { return IsZero(z) ? Undefined() : Reciprocal(z); }

  Box Degrees(const Expression& e) {
    const Box angle = Of(e.children[0]);
    if (in_function_ == 0) return angle;
    return angle * Constant(Rational(Integer(1), Integer(180))) * Box(Interval::Pi(precision_));
  }

  Box Symbol(const std::string& name) {
    if (name == "\\pi") return Box(Interval::Pi(precision_));
    if (name == "e") return Box(Interval(Rational(1), precision_).Exp());
    if (name == "i") return {Interval(precision_), Interval(Rational(1), precision_)};
    if (name == "\\infty") return Undefined();
    return Constant(Variable(name));
  }

  // From 0.5 to 2.5 with 20 bits after the point, at some points a third or a hundred times as
  // much.
  Rational Variable(const std::string& name) const {
    constexpr uint64_t kUnit = 1 << 20;
    constexpr std::array<int64_t, kPoints> kThirds = {3, 1, 3, 1, 3, 300, 1, 3, 300};
    const auto point = static_cast<uint64_t>(point_);
    const uint64_t below = RandomStream(0, "math", name).Below(point, 2 * kUnit);
    const Rational size(Integer(kThirds[point] * static_cast<int64_t>(below + kUnit / 2)),
                        Integer(static_cast<int64_t>(3 * kUnit)));
    return point_ >= kPositivePoints ? -size : size;
  }

  // A written rational number: the exact value decides between real and complex roots.
  std::optional<Rational> RationalOf(const Expression& e) {
    if (e.kind == Kind::kNumber) return e.number;
    const std::optional<Quotient> value = ExactValue(e, scope_);
    return value ? ToRational(*value) : std::nullopt;
  }

  // Roots of odd degree of negative numbers are the real ones, as taught in school.
  Box Root(const Box& base, const Expression& degree) {
    const std::optional<Rational> rational = RationalOf(degree);
    if (rational && !rational->zero()) return RationalPower(base, rational->Inverse());
    return Powered(base, Inverted(Of(degree)));
  }

  Box Power(const Expression& e) {
    const Box base = Of(e.children[0]);
    if (const auto rational = RationalOf(e.children[1])) return RationalPower(base, *rational);
    return Powered(base, Of(e.children[1]));
  }

  Box RationalPower(const Box& base, const Rational& exponent) {
    if (exponent.zero()) return IsZero(base) ? Undefined() : Constant(Rational(1));
    if (exponent.negative()) return Inverted(RationalPower(base, -exponent));
    const std::optional<int64_t> num = exponent.num().ToInt64(), den = exponent.den().ToInt64();
    if (!num || !den) return Powered(base, Constant(exponent));
    if (*den == 1) return WholePower(base, *num);
    if (!base.real) return Powered(base, Constant(exponent));
    if (base.re.not_negative()) return WholePower(RootOf(base.re, *den), *num);
    if (*den % 2 == 1 && base.re.negative()) {
      const Box size = WholePower(RootOf(-base.re, *den), *num);
      return *num % 2 == 1 ? Negated(size) : size;
    }
    return Powered(base, Constant(exponent));
  }

  Box RootOf(const Interval& base, int64_t degree) {
    if (degree == 2) {
      SpendOperation();
    } else {
      SpendFunction();
    }
    return Box(base.Root(static_cast<uint64_t>(degree)));
  }

  Box WholePower(Box base, int64_t exponent) {
    Box power = Constant(Rational(1));
    for (; exponent > 0; exponent >>= 1) {
      SpendOperation();
      if ((exponent & 1) != 0) power = power * base;
      if (exponent > 1) base = base * base;
    }
    return power;
  }

  Box Powered(const Box& base, const Box& exponent) {
    SpendFunction();
    if (IsZero(base)) {
      const bool positive = exponent.real && exponent.re.positive();
      return positive ? base : Undefined();
    }
    return FromReal(base, Exponential(exponent * Logarithm(base)));
  }

  // Notes that `value`, of a real argument, is not real.
  Box FromReal(const Box& argument, Box value) {
    complex_ = complex_ || (argument.real && !value.real);
    return value;
  }

  Box Function(const Expression& e) {
    SpendFunction();
    ++in_function_;
    std::vector<Box> z;
    for (const Expression& child : e.children) z.push_back(Of(child));
    --in_function_;
    if (z.size() == 2 && e.text == "log") return Log(z[0]) * Inverted(Log(z[1]));
    if (e.text == "min" || e.text == "max") return Extreme(z, e.text == "min");
    if (z.size() != 1) return Undefined();
    return OneArgument(e.text, z[0]);
  }

  Box Log(const Box& z) {
    if (IsZero(z)) return Undefined();
    return FromReal(z, z.real && z.re.positive() ? Box(z.re.Log()) : Logarithm(z));
  }

  Box Extreme(const std::vector<Box>& z, bool least) {
    Box extreme = z[0];
    for (const Box& one : z) {
      if (!one.real) return Undefined();
      if (one.re.Below(extreme.re) || (one.re.NotAbove(extreme.re))) {
        if (least) extreme = one;
      } else if (extreme.re.NotAbove(one.re)) {
        if (!least) extreme = one;
      } else if (&one != &z[0]) {
        return None();
      }
    }
    return extreme;
  }

  Box OneArgument(const std::string& name, const Box& z) {
    if (name == "abs") return Box(z.real ? z.re.Abs() : Size(z));
    if (name == "exp") return Exponential(z);
    if (name == "ln" || name == "log") return Log(z);
    if (name == "lg") return Log(z) * Inverted(Log(Constant(Rational(10))));
    if (name == "sin" || name == "cos") return z.real ? Wave(name, z.re) : Trigonometric(name, z);
    if (name == "tan") return OneArgument("sin", z) * Inverted(OneArgument("cos", z));
    if (name == "cot") return OneArgument("cos", z) * Inverted(OneArgument("sin", z));
    if (name == "sec") return Inverted(OneArgument("cos", z));
    if (name == "csc") return Inverted(OneArgument("sin", z));
    if (name == "sinh" || name == "cosh" || name == "tanh") return Hyperbolic(name, z);
    if (!z.real) return Undefined();
    return OfReal(name, z.re);
  }

  static Box Wave(const std::string& name, const Interval& x) {
    return Box(name == "sin" ? x.Sin() : x.Cos());
  }

  // sin z = -i sinh(iz), cos z = cosh(iz).
  Box Trigonometric(const std::string& name, const Box& z) {
    const Box turned(-z.im, z.re);
    if (name == "cos") return Hyperbolic("cosh", turned);
    const Box sine = Hyperbolic("sinh", turned);
    return {sine.im, -sine.re};
  }

  Box Hyperbolic(const std::string& name, const Box& z) {
    const Box forward = Exponential(z), back = Exponential(Negated(z));
    const Box half = Constant(Rational(Integer(1), Integer(2)));
    if (name == "sinh") return (forward - back) * half;
    if (name == "cosh") return Sum(forward, back) * half;
    return (forward - back) * Inverted(Sum(forward, back));
  }

  Box OfReal(const std::string& name, const Interval& x) {
    const Interval quarter = Half(Interval::Pi(precision_));
    if (name == "floor" || name == "ceil") {
      const std::optional<Integer> whole = x.Rounded(name == "ceil");
      return whole ? Constant(Rational(*whole)) : None();
    }
    if (name == "sgn") {
      if (x.zero()) return Constant(Rational());
      if (!x.positive() && !x.negative()) return None();
      return Constant(Rational(x.positive() ? 1 : -1));
    }
    if (name == "factorial") return Factorial(x);
    if (name == "arctan" || name == "atan") return Box(x.Atan());
    if (name == "arccot") return Box(quarter - x.Atan());
    if (name == "arcsin" || name == "asin") return Box(x.Asin());
    if (name == "arccos" || name == "acos") return Box(quarter - x.Asin());
    if (name == "arsinh") return Box(x.Asinh());
    if (name == "arcosh") return Box(x.Acosh());
    if (name == "artanh") return Box(x.Atanh());
    return Undefined();
  }

  Box Factorial(const Interval& x) {
    constexpr int kMaxPrecision = 1024;  // gamma is slow
    constexpr int kMaxSteps = 400;
    if (precision_ > kMaxPrecision) return None();
    constexpr int64_t kCost = 1000;
    scope_.budget.SpendWork(kCost * limbs());
    const Interval one(Rational(1), precision_);
    // x! = (x + 1)! / (x + 1) up to a number that is not negative; a negative integer has none.
    Interval shifted = x, product = one;
    for (int step = 0; step < kMaxSteps && !shifted.not_negative(); ++step) {
      SpendOperation();
      shifted = shifted + one;
      product = product * shifted;
    }
    return Box((shifted + one).Gamma() * product.Inverse());
  }

  int point_, precision_;
  Scope& scope_;
  int in_function_ = 0;
  bool complex_ = false, undefined_ = false;
};

}  // namespace

Box operator-(const Box& a, const Box& b) { return {a.re - b.re, a.im - b.im}; }

Box operator*(const Box& a, const Box& b) {
  if (a.real && b.real) return Box(a.re * b.re);
  return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}

Interval Size(const Box& z) {
  if (z.real) return z.re.Abs();
  return (z.re.Abs() * z.re.Abs() + z.im.Abs() * z.im.Abs()).Root(2);
}

bool Apart(const Box& a, const Box& b) {
  return a.re.Below(b.re) || b.re.Below(a.re) || a.im.Below(b.im) || b.im.Below(a.im);
}

Enclosure Enclose(const Expression& expression, int point, int precision, Scope& scope) {
  return Encloser(point, precision, scope).Run(expression);
}

}  // namespace lorikeet::math
