#include "verify/math/numeric.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <optional>
#include <vector>

#include "core/random.h"
#include "verify/math/statement.h"

namespace lorikeet::math {
namespace {

using Complex = std::complex<double>;

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
constexpr double kRounding = 1e-13;
constexpr int kPositivePoints = 4, kNegativePoints = 2, kMinPoints = 3;

struct Approximation {
  Complex value;
  double scale = 0;      // size of its largest summand, to which rounding errors are relative
  bool complex = false;  // whether a function of a real number had a complex value
};

bool Finite(const Complex& z) { return std::isfinite(z.real()) && std::isfinite(z.imag()); }
bool Real(const Complex& z) { return z.imag() == 0; }

// Evaluates expressions at one choice of values for the variables.
class Approximator {
 public:
  Approximator(int point, Scope& scope)
      : point_(point), negative_(point >= kPositivePoints), scope_(scope) {}

  Approximation Of(const Expression& e) {
    Approximation result;
    result.value = Value(e, &result.scale);
    result.complex = complex_;
    return result;
  }

 private:
  Complex Value(const Expression& e, double* scale) {
    scope_.budget.SpendWork(1);
    if (e.kind == Kind::kSum) return Sum(e, scale);
    if (e.kind == Kind::kProduct) return Product(e, scale);
    if (e.kind == Kind::kNegate) return -Value(e.children[0], scale);
    if (e.kind == Kind::kPercent) {
      const Complex value = Value(e.children[0], scale);
      *scale /= 100;
      return value / 100.0;
    }
    if (e.kind == Kind::kInverse) {
      const Complex value = 1.0 / Value(e.children[0], scale);
      *scale *= std::norm(value);
      return value;
    }
    const Complex value = Other(e);
    *scale = std::abs(value);
    // The error of sin(pi) is that of the rounded pi.
    if (e.kind == Kind::kFunction && e.text != "exp") *scale = std::max(*scale, 1.0);
    return value;
  }

  Complex Plain(const Expression& e) {
    double scale = 0;
    return Value(e, &scale);
  }

  Complex Sum(const Expression& e, double* scale) {
    Complex sum = 0;
    for (const Expression& child : e.children) {
      double one = 0;
      sum += Value(child, &one);
      *scale = std::max(*scale, one);
    }
    return sum;
  }

  Complex Product(const Expression& e, double* scale) {
    Complex product = 1;
    *scale = 1;
    for (const Expression& child : e.children) {
      double one = 0;
      product *= Value(child, &one);
      *scale *= one;
    }
    return product;
  }

  Complex Other(const Expression& e) {
    switch (e.kind) {
      case Kind::kNumber:
        return e.number.ToDouble();
      case Kind::kSymbol:
        return Symbol(e.text);
      case Kind::kPower:
        return Power(Plain(e.children[0]), e.children[1]);
      case Kind::kRoot:
        return Root(Plain(e.children[0]), Plain(e.children[1]));
      case Kind::kDegrees:
        return Plain(e.children[0]) * (in_function_ > 0 ? std::numbers::pi / 180 : 1);
      case Kind::kFunction:
        return Function(e);
      default:
        return kNone;
    }
  }

  Complex Symbol(const std::string& name) const {
    if (name == "\\pi") return std::numbers::pi;
    if (name == "e") return std::numbers::e;
    if (name == "i") return {0, 1};
    if (name == "\\infty") return kNone;
    const double size =
        0.5 + 2 * RandomStream(0, "math", name).Uniform(static_cast<uint64_t>(point_));
    return negative_ ? -size : size;
  }

  // Roots of odd degree of negative numbers are the real ones, as taught in school.
  Complex Root(const Complex& base, const Complex& degree) {
    const bool odd = Real(degree) && std::fmod(degree.real(), 2) == 1;
    if (Real(base) && base.real() < 0 && odd) return -std::pow(-base.real(), 1 / degree.real());
    return Powered(base, 1.0 / degree);
  }

  Complex Power(const Complex& base, const Expression& exponent) {
    const std::optional<Quotient> exact = ExactValue(exponent, scope_);
    const std::optional<Rational> rational = exact ? ToRational(*exact) : std::nullopt;
    if (rational && !rational->integer() && rational->den().odd() && Real(base)) {
      const double size = std::pow(std::abs(base.real()), rational->ToDouble());
      return base.real() < 0 && rational->num().odd() ? -size : size;
    }
    if (rational && rational->integer() && Real(base)) {
      return std::pow(base.real(), rational->ToDouble());
    }
    return Powered(base, Plain(exponent));
  }

  Complex Powered(const Complex& base, const Complex& exponent) {
    if (Real(base) && Real(exponent) && base.real() >= 0) {
      return std::pow(base.real(), exponent.real());
    }
    return FromReal(base, std::pow(base, exponent));
  }

  // Notes that `value`, of a real argument, is not real.
  Complex FromReal(const Complex& argument, const Complex& value) {
    complex_ = complex_ || (Real(argument) && !Real(value));
    return value;
  }

  Complex Function(const Expression& e) {
    ++in_function_;
    std::vector<Complex> arguments;
    for (const Expression& child : e.children) arguments.push_back(Plain(child));
    --in_function_;
    const Complex z = arguments[0];
    if (arguments.size() == 2 && e.text == "log") {
      return FromReal(z, std::log(z) / std::log(arguments[1]));
    }
    if (e.text == "min" || e.text == "max") return Extreme(arguments, e.text == "min");
    if (arguments.size() != 1) return kNone;
    if (const Complex value = RealFunction(e.text, z); !std::isnan(value.real())) return value;
    return FromReal(z, ComplexFunction(e.text, z));
  }

  static Complex Extreme(const std::vector<Complex>& arguments, bool least) {
    double extreme = arguments[0].real();
    for (const Complex& z : arguments) {
      if (!Real(z)) return kNone;
      extreme = least ? std::min(extreme, z.real()) : std::max(extreme, z.real());
    }
    return extreme;
  }

  static Complex RealFunction(const std::string& name, const Complex& z) {
    if (name == "abs") return std::abs(z);
    if (!Real(z)) return kNone;
    const double x = z.real();
    if (name == "floor") return std::floor(x);
    if (name == "ceil") return std::ceil(x);
    if (name == "sgn") return x > 0 ? 1 : x < 0 ? -1 : 0;
    if (name == "factorial") return x < 0 ? kNone : std::tgamma(x + 1);
    // Real arguments use the real functions: the complex ones round the sign of a zero.
    if (name == "ln" || name == "log" || name == "lg") {
      if (x <= 0) return kNone;
      return name == "ln" || name == "log" ? std::log(x) : std::log10(x);
    }
    if (name == "arcsin" || name == "asin") return std::asin(x);
    if (name == "arccos" || name == "acos") return std::acos(x);
    if (name == "arcosh") return std::acosh(x);
    if (name == "artanh") return std::atanh(x);
    return kNone;
  }

  static Complex ComplexFunction(const std::string& name, const Complex& z) {
    if (name == "sin") return std::sin(z);
    if (name == "cos") return std::cos(z);
    if (name == "tan") return std::tan(z);
    if (name == "cot") return 1.0 / std::tan(z);
    if (name == "sec") return 1.0 / std::cos(z);
    if (name == "csc") return 1.0 / std::sin(z);
    if (name == "arcsin" || name == "asin") return std::asin(z);
    if (name == "arccos" || name == "acos") return std::acos(z);
    if (name == "arctan" || name == "atan") return std::atan(z);
    if (name == "arccot") return std::numbers::pi / 2 - std::atan(z);
    if (name == "sinh") return std::sinh(z);
    if (name == "cosh") return std::cosh(z);
    if (name == "tanh") return std::tanh(z);
    if (name == "arsinh") return std::asinh(z);
    if (name == "exp") return std::exp(z);
    if (name == "ln" || name == "log") return std::log(z);
    if (name == "lg") return std::log(z) / std::numbers::ln10;
    return kNone;
  }

  int point_;
  bool negative_;
  Scope& scope_;
  int in_function_ = 0;
  bool complex_ = false;
};

int PointsFor(const Expression& a, const Expression& b) {
  return HasVariables(a) || HasVariables(b) ? kPositivePoints + kNegativePoints : 1;
}

bool Close(const Approximation& a, const Approximation& b, double tolerance) {
  const double difference = std::abs(a.value - b.value);
  return difference <= tolerance * std::max(std::abs(a.value), std::abs(b.value)) ||
         difference <= kRounding * std::max(a.scale, b.scale);
}

}  // namespace

Match CompareNumerically(const Expression& reference, const Expression& answer, double tolerance,
                         Scope& scope) {
  const int points = PointsFor(reference, answer), least = points == 1 ? 1 : kMinPoints;
  int defined = 0, undefined_answers = 0;
  for (int point = 0; point < points; ++point) {
    const Approximation a = Approximator(point, scope).Of(reference);
    const Approximation b = Approximator(point, scope).Of(answer);
    if (!Finite(a.value)) continue;
    if (point >= kPositivePoints && (a.complex || b.complex)) continue;
    ++defined;
    if (!Finite(b.value)) {
      ++undefined_answers;
    } else if (!Close(a, b, tolerance)) {
      return Match::kDifferent;
    }
  }
  if (defined < least) return Match::kUnknown;
  return defined - undefined_answers >= least ? Match::kEqual : Match::kDifferent;
}

Match CompareProportion(const Expression& a, const Expression& b, bool positive, Scope& scope) {
  constexpr double kTolerance = 1e-9;
  const int points = PointsFor(a, b), least = points == 1 ? 1 : kMinPoints;
  std::optional<Complex> ratio;
  int defined = 0;
  for (int point = 0; point < points; ++point) {
    const Approximation x = Approximator(point, scope).Of(a), y = Approximator(point, scope).Of(b);
    if (!Finite(x.value)) continue;
    if (point >= kPositivePoints && (x.complex || y.complex)) continue;
    const Complex here = x.value / y.value;
    if (!Finite(here) || std::abs(here) < kRounding) return Match::kDifferent;
    if (positive && !(Real(here) && here.real() > 0)) return Match::kDifferent;
    if (ratio && std::abs(here - *ratio) > kTolerance * std::abs(*ratio)) return Match::kDifferent;
    if (!ratio) ratio = here;
    ++defined;
  }
  return defined < least ? Match::kUnknown : Match::kEqual;
}

double RealValue(const Expression& expression, Scope& scope) {
  const Complex value = Approximator(0, scope).Of(expression).value;
  return Finite(value) && Real(value) ? value.real() : kNone;
}

}  // namespace lorikeet::math
