#include "verify/math/atoms.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>

#include "core/error.h"

namespace lorikeet::math {
namespace {

using Value = std::optional<Quotient>;

constexpr size_t kMaxAtoms = 60;
constexpr int kMaxSteps = 100;  // powers multiplied out

// num / den rounded down.
int64_t Floor(const Factor& factor) {
  return factor.num / factor.den - (factor.num % factor.den < 0 ? 1 : 0);
}

// The exponent of a generator in a product, as a whole number below it; 0 without the generator.
int64_t WholeExponent(const Monomial& monomial, int64_t generator) {
  for (const Factor& factor : monomial) {
    if (factor.generator == generator) return Floor(factor);
  }
  return 0;
}

struct Range {
  int64_t least = 0, most = 0;
};

Range WholeExponents(const Polynomial& polynomial, int64_t generator) {
  Range range;
  for (const auto& [monomial, coefficient] : polynomial.terms()) {
    const int64_t whole = WholeExponent(monomial, generator);
    range.least = std::min(range.least, whole);
    range.most = std::max(range.most, whole);
  }
  return range;
}

Polynomial One() { return Polynomial(Rational(1)); }

}  // namespace

int64_t Atoms::Generator(const std::string& name, const Quotient& argument, bool positive,
                         bool real, Budget& budget) {
  for (const Atom& atom : atoms_) {
    if (atom.name == name && Equal(atom.argument, argument, budget)) return atom.generator;
  }
  if (atoms_.size() == kMaxAtoms) Fail(ErrorCode::kOutOfMemory, "too many different functions");
  const int64_t generator =
      kFirstAtom - 2 * static_cast<int64_t>(atoms_.size() + 1) + (positive ? 0 : 1);
  atoms_.push_back({name, argument, real, generator});
  return generator;
}

const Atoms::Atom& Atoms::Get(int64_t generator) const {
  return *std::find_if(atoms_.begin(), atoms_.end(),
                       [&](const Atom& atom) { return atom.generator == generator; });
}

bool Atoms::IsReal(const Polynomial& polynomial) const {
  for (const auto& [monomial, coefficient] : polynomial.terms()) {
    for (const Factor& factor : monomial) {
      if (factor.generator == kImaginary || factor.generator == kInfinity) return false;
      if (IsAtom(factor.generator) && !Get(factor.generator).real) return false;
    }
  }
  return true;
}

bool Atoms::DependsOnVariables(int64_t generator) const {
  return IsAtom(generator) ? DependsOnVariables(Get(generator).argument) : IsVariable(generator);
}

bool Atoms::DependsOnVariables(const Quotient& quotient) const {
  for (const Polynomial* side : {&quotient.num, &quotient.den}) {
    for (const auto& [monomial, coefficient] : side->terms()) {
      for (const Factor& factor : monomial) {
        if (DependsOnVariables(factor.generator)) return true;
      }
    }
  }
  return false;
}

bool Atoms::IsZero(Polynomial polynomial, Budget& budget) const {
  for (int step = 0; step < kMaxSteps && !polynomial.zero(); ++step) {
    // Later sums may contain earlier ones.
    const auto atom = std::find_if(atoms_.rbegin(), atoms_.rend(), [&](const Atom& candidate) {
      const Range range = WholeExponents(polynomial, candidate.generator);
      return candidate.name == "sum" && (range.least < 0 || range.most > 0);
    });
    if (atom == atoms_.rend()) return false;
    const Range range = WholeExponents(polynomial, atom->generator);
    if (range.least < 0) {
      polynomial =
          Product(polynomial, GeneratorPower(atom->generator, Rational(-range.least)), budget);
      continue;
    }
    Polynomial multiplied;
    for (const auto& [monomial, coefficient] : polynomial.terms()) {
      const int64_t whole = WholeExponent(monomial, atom->generator);
      Polynomial term;
      term.Add(monomial, coefficient);
      term = Product(term, GeneratorPower(atom->generator, Rational(-whole)), budget);
      term = Product(term, WholePower(atom->argument.num, whole, budget), budget);
      term = Product(term, WholePower(atom->argument.den, range.most - whole, budget), budget);
      multiplied = Sum(multiplied, term, budget);
    }
    polynomial = std::move(multiplied);
  }
  return polynomial.zero();
}

namespace {

class Functions {
 public:
  Functions(Atoms& atoms, Budget& budget) : atoms_(atoms), budget_(budget) {}

  Value Call(const std::string& name, const std::vector<Quotient>& x) {
    if (x.size() == 2 && (name == "min" || name == "max")) return Extreme(x[0], x[1], name);
    if (x.size() == 2 && name == "log") return Ratio(Ln(x[0]), Ln(x[1]));
    if (x.size() != 1) return std::nullopt;
    const Quotient& z = x[0];
    if (name == "exp") return Exp(z);
    if (name == "ln" || name == "log") return Ln(z);
    if (name == "lg") return Ratio(Ln(z), Ln(Number(Rational(10))));
    if (name == "abs") return Abs(z);
    if (name == "factorial") return Factorial(z);
    if (name == "floor" || name == "ceil" || name == "sgn") return Opaque(name, z);
    if (Value value = Trigonometric(name, z)) return value;
    return Inverse(name, z);
  }

  Value Raise(const Quotient& base, const Quotient& exponent) {
    if (const std::optional<Rational> rational = ToRational(exponent)) {
      return RationalPower(base, *rational);
    }
    const Value logarithm = Ln(base);
    return logarithm ? Exp(Multiplied(exponent, *logarithm)) : std::nullopt;
  }

 private:
  Quotient Multiplied(const Quotient& a, const Quotient& b) { return Times(a, b, budget_); }
  Quotient Scaled(const Quotient& a, int64_t num, int64_t den) {
    return Multiplied(a, Number(Rational(Integer(num), Integer(den))));
  }
  Value Ratio(const Value& a, const Value& b) {
    if (!a || !b) return std::nullopt;
    return Multiplied(*a, math::Inverse(*b, budget_));
  }
  Value Opaque(const std::string& name, const Quotient& z) {
    return Whole(Polynomial::Generator(atoms_.Generator(name, z, false, true, budget_)));
  }
  Quotient Imaginary() { return Whole(Polynomial::Generator(kImaginary)); }

  // exp(sum of c m) = product of exp(m)^c.
  Value Exp(const Quotient& z) {
    Quotient product = Number(Rational(1));
    for (const auto& [monomial, coefficient] : z.num.terms()) {
      const Value factor = ExpOfTerm(monomial, coefficient, z.den);
      if (!factor) return std::nullopt;
      product = Multiplied(product, *factor);
    }
    return product;
  }

  Value ExpOfTerm(const Monomial& monomial, const Rational& coefficient, const Polynomial& den) {
    if (den == One()) {
      if (monomial.empty()) return Whole(GeneratorPower(kEuler, coefficient));
      const Monomial half_turn = {{kPi, 1, 1}, {kImaginary, 1, 1}};
      if (monomial == half_turn) return Turned(coefficient);
      const Factor& first = monomial[0];
      if (monomial.size() == 1 && first.num == 1 && first.den == 1 && IsAtom(first.generator) &&
          atoms_.Get(first.generator).name == "ln") {
        const Quotient argument = atoms_.Get(first.generator).argument;
        if (Value power = RationalPower(argument, coefficient)) return power;
      }
    }
    Polynomial product;
    product.Add(monomial, Rational(1));
    const Quotient argument{product, den};
    const bool real = atoms_.IsReal(argument);
    return Whole(
        GeneratorPower(atoms_.Generator("exp", argument, real, real, budget_), coefficient));
  }

  // cos(k pi / 12) for k from 0 to 6, four times.
  static Polynomial FourCosines(int64_t k) {
    const Polynomial six = Surd(6), two = Surd(2);
    Budget small;
    switch (k) {
      case 0:
        return Polynomial(Rational(4));
      case 1:
        return Sum(six, two, small);
      case 2:
        return Product(Polynomial(Rational(2)), Surd(3), small);
      case 3:
        return Product(Polynomial(Rational(2)), two, small);
      case 4:
        return Polynomial(Rational(2));
      case 5:
        return Sum(six, Negative(two), small);
      default:
        return {};
    }
  }
  static Polynomial Surd(int64_t n) {
    Budget small;
    return *TermPower(Polynomial(Rational(n)), Rational(Integer(1), Integer(2)), small);
  }
  static Polynomial FourCosinesOfAny(int64_t k) {
    constexpr int64_t kTurn = 24, kQuarter = 6;
    k = ((k % kTurn) + kTurn) % kTurn;
    if (k > kTurn / 2) k = kTurn - k;
    return k <= kQuarter ? FourCosines(k) : Negative(FourCosines(kTurn / 2 - k));
  }

  // exp(i pi r): by roots if r is a multiple of 1/12, else as a power of -1.
  Value Turned(const Rational& r) {
    const Rational twelfths = r * Rational(12);
    const Rational turns = Rational((r / Rational(2)).Floor());
    const Rational rest = r - turns * Rational(2);  // in [0, 2)
    if (!twelfths.integer()) {
      const int64_t minus_one =
          atoms_.Generator("sum", Number(Rational(-1)), false, false, budget_);
      return Whole(GeneratorPower(minus_one, rest));
    }
    const int64_t k = *(rest * Rational(12)).ToInt64();
    constexpr int64_t kQuarter = 6;
    const Quotient cosine = Whole(FourCosinesOfAny(k)),
                   sine = Whole(FourCosinesOfAny(kQuarter - k));
    return Scaled(Plus(cosine, Multiplied(Imaginary(), sine), budget_), 1, 4);
  }

  // The positive rational number that all coefficients are multiples of.
  static Rational Content(const Polynomial& p) {
    Integer num, den(1);
    for (const auto& [monomial, coefficient] : p.terms()) {
      num = Integer::Gcd(num, coefficient.num());
      den = den * coefficient.den() / Integer::Gcd(den, coefficient.den());
    }
    return {num, den};
  }

  Value Ln(const Quotient& z) {
    if (z.num.zero()) return std::nullopt;
    if (z.den.size() > 1) {
      const Value num = Ln(Whole(z.num)), den = Ln(Whole(z.den));
      return num && den ? Value(Minus(*num, *den, budget_)) : std::nullopt;
    }
    if (z.num.size() == 1) return LnOfTerm(z.num);
    const Rational content = Content(z.num);
    const Quotient rest = Multiplied(z, Number(content.Inverse()));
    const Value number = LnOfTerm(Polynomial(content));
    if (!number) return std::nullopt;
    return Plus(*number, LnAtom(rest), budget_);
  }

  Quotient LnAtom(const Quotient& z) {
    const int64_t generator = atoms_.Generator("ln", z, false, atoms_.IsReal(z), budget_);
    return Whole(Polynomial::Generator(generator));
  }

  Value LnOfTerm(const Polynomial& term) {
    const auto& [monomial, coefficient] = *term.terms().begin();
    Quotient sum = LnOfInteger(coefficient.num().Abs());
    sum = Minus(sum, LnOfInteger(coefficient.den()), budget_);
    if (coefficient.negative()) {
      if (!monomial.empty()) return LnAtom(Whole(term));
      const Quotient half_turn = Multiplied(Imaginary(), Whole(Polynomial::Generator(kPi)));
      sum = Plus(sum, half_turn, budget_);
    }
    for (const Factor& factor : monomial) {
      const Value one = LnOfGenerator(factor.generator);
      if (!one) return std::nullopt;
      sum = Plus(sum, Scaled(*one, factor.num, factor.den), budget_);
    }
    return sum;
  }

  Quotient LnOfInteger(const Integer& n) {
    std::vector<std::pair<int64_t, int32_t>> primes;
    if (!Factorise(n, &primes, budget_)) return LnAtom(Number(Rational(n)));
    Quotient sum = Number(Rational());
    for (const auto& [prime, count] : primes) {
      sum = Plus(sum, Scaled(LnAtom(Number(Rational(prime))), count, 1), budget_);
    }
    return sum;
  }

  Value LnOfGenerator(int64_t generator) {
    if (generator == kEuler) return Number(Rational(1));
    if (generator == kImaginary || generator == kInfinity) return std::nullopt;
    if (IsAtom(generator)) {
      const Atoms::Atom& atom = atoms_.Get(generator);
      if (!atom.real) return std::nullopt;
      if (atom.name == "exp") return atom.argument;
      if (atom.name == "sum") return LnAtom(atom.argument);
    }
    return LnAtom(Whole(Polynomial::Generator(generator)));
  }

  Value RationalPower(const Quotient& base, const Rational& exponent) {
    if (exponent.integer()) return IntegerPower(base, exponent);
    if (base.num.zero()) return Power(base, exponent, budget_);
    if (base.den.size() > 1) {
      return Ratio(RationalPower(Whole(base.num), exponent),
                   RationalPower(Whole(base.den), exponent));
    }
    if (base.num.size() == 1) return PowerOfTerm(base.num, exponent);
    if (!atoms_.IsReal(base)) return std::nullopt;
    const Rational content = Content(base.num);
    const Polynomial common = CommonFactor(base.num);
    const Value outer = PowerOfTerm(Product(Polynomial(content), common, budget_), exponent);
    if (!outer) return std::nullopt;
    const Quotient inner =
        Divided(base.num, Product(Polynomial(content), common, budget_), budget_);
    return Multiplied(*outer, PowerOfSum(inner, exponent));
  }

  // A power of a long sum stays one.
  Value IntegerPower(const Quotient& base, const Rational& exponent) {
    constexpr int64_t kMaxExpanded = 12;
    const std::optional<int64_t> n = exponent.ToInt64();
    const bool sum = base.num.size() > 1 || base.den.size() > 1;
    if (!sum || !n || std::abs(*n) <= kMaxExpanded) return Power(base, exponent, budget_);
    if (base.den.size() > 1) {
      return Ratio(IntegerPower(Whole(base.num), exponent),
                   IntegerPower(Whole(base.den), exponent));
    }
    const Rational content = Content(base.num);
    const Quotient inner = Multiplied(base, Number(content.Inverse()));
    const Value outer = Power(Number(content), exponent, budget_);
    return outer ? Value(Multiplied(*outer, PowerOfSum(inner, exponent))) : std::nullopt;
  }

  Quotient PowerOfSum(const Quotient& sum, const Rational& exponent) {
    const bool real = atoms_.IsReal(sum);
    // The root of a negative constant has been written with that of a positive one.
    const bool positive = real && !atoms_.DependsOnVariables(sum);
    return Whole(GeneratorPower(atoms_.Generator("sum", sum, positive, real, budget_), exponent));
  }

  // The product of whole powers of variables that divides every term.
  Polynomial CommonFactor(const Polynomial& p) {
    Polynomial common = One();
    for (const Factor& factor : p.terms().begin()->first) {
      if (!IsVariable(factor.generator)) continue;
      int64_t least = Floor(factor);
      for (const auto& [monomial, coefficient] : p.terms()) {
        least = std::min(least, WholeExponent(monomial, factor.generator));
      }
      if (least > 0) {
        common = Product(common, GeneratorPower(factor.generator, Rational(least)), budget_);
      }
    }
    return common;
  }

  // Factor by factor; an even power of a variable under an even root stays as a power of its
  // square.
  Value PowerOfTerm(const Polynomial& term, const Rational& exponent) {
    if (auto power = TermPower(term, exponent, budget_)) return Whole(*power);
    const auto& [monomial, coefficient] = *term.terms().begin();
    if (coefficient.negative() || !atoms_.IsReal(term)) return std::nullopt;
    auto number = TermPower(Polynomial(coefficient), exponent, budget_);
    if (!number) {
      if (monomial.empty()) return PowerOfSum(Number(coefficient), exponent);
      return std::nullopt;
    }
    Quotient product = Whole(*number);
    for (const Factor& factor : monomial) {
      const Value power = PowerOfFactor(factor, exponent);
      if (!power) return std::nullopt;
      product = Multiplied(product, *power);
    }
    return product;
  }

  Value PowerOfFactor(const Factor& factor, const Rational& exponent) {
    const Rational own(Integer(factor.num), Integer(factor.den));
    const Polynomial base = GeneratorPower(factor.generator, own);
    if (auto power = TermPower(base, exponent, budget_)) return Whole(*power);
    if (!own.integer() || own.num().odd()) return std::nullopt;
    const Quotient square = Whole(GeneratorPower(factor.generator, Rational(2)));
    return PowerOfSum(square, exponent * own / Rational(2));
  }

  Value Abs(const Quotient& z) {
    if (!atoms_.IsReal(z)) return std::nullopt;
    return RationalPower(Multiplied(z, z), Rational(Integer(1), Integer(2)));
  }

  Value Extreme(const Quotient& a, const Quotient& b, const std::string& name) {
    const Value distance = Abs(Minus(a, b, budget_));
    if (!distance) return std::nullopt;
    const Quotient sum = Plus(a, b, budget_);
    return Scaled(name == "max" ? Plus(sum, *distance, budget_) : Minus(sum, *distance, budget_), 1,
                  2);
  }

  // (n + k)! = n! (n + 1) ... (n + k) for a whole number k.
  Value Factorial(const Quotient& z) {
    constexpr int64_t kMaxShift = 50;
    const std::optional<Rational> number = ToRational(z);
    if (number) return LargeFactorial(*number, kMaxShift);
    const auto constant = z.num.terms().find(Monomial{});
    if (z.den.size() > 1 || constant == z.num.terms().end()) return Opaque("factorial", z);
    const Integer whole = constant->second.Floor();
    const std::optional<int64_t> shift = whole.ToInt64();
    if (!shift || std::abs(*shift) > kMaxShift) return Opaque("factorial", z);
    return ShiftedFactorial(Minus(z, Number(Rational(whole)), budget_), *shift);
  }

  // (base + shift)!
  Value ShiftedFactorial(const Quotient& base, int64_t shift) {
    Quotient product = *Opaque("factorial", base);
    for (int64_t k = 1; k <= shift; ++k) {
      product = Multiplied(product, Plus(base, Number(Rational(k)), budget_));
    }
    for (int64_t k = 0; k > shift; --k) {
      product =
          Multiplied(product, math::Inverse(Plus(base, Number(Rational(k)), budget_), budget_));
    }
    return product;
  }

  // By a factorial near it that occurred before: 8000! by 7998!.
  Value LargeFactorial(const Rational& n, int64_t max_shift) {
    for (const Atoms::Atom& atom : atoms_.all()) {
      const std::optional<Rational> other =
          atom.name == "factorial" ? ToRational(atom.argument) : std::nullopt;
      const std::optional<int64_t> shift = other ? (n - *other).ToInt64() : std::nullopt;
      if (!shift || std::abs(*shift) > max_shift) continue;
      return ShiftedFactorial(Number(*other), *shift);
    }
    return Opaque("factorial", Number(n));
  }

  Value Trigonometric(const std::string& name, const Quotient& z) {
    const bool hyperbolic = name == "sinh" || name == "cosh" || name == "tanh";
    constexpr std::array<std::string_view, 6> kNames = {"sin", "cos", "tan", "cot", "sec", "csc"};
    if (!hyperbolic && std::find(kNames.begin(), kNames.end(), name) == kNames.end()) {
      return std::nullopt;
    }
    const Quotient turned = hyperbolic ? z : Multiplied(z, Imaginary());
    const Value forward = Exp(turned), back = Exp(Scaled(turned, -1, 1));
    if (!forward || !back) return std::nullopt;
    const Quotient cosine = Scaled(Plus(*forward, *back, budget_), 1, 2);
    Quotient sine = Scaled(Minus(*forward, *back, budget_), 1, 2);
    if (!hyperbolic) sine = Multiplied(sine, math::Inverse(Imaginary(), budget_));
    const Quotient one = Number(Rational(1));
    if (name.starts_with("sin")) return sine;
    if (name.starts_with("cos")) return cosine;
    if (name.starts_with("tan")) return Ratio(sine, cosine);
    if (name == "cot") return Ratio(cosine, sine);
    return Ratio(one, name == "sec" ? cosine : sine);
  }

  Value Inverse(const std::string& name, const Quotient& z) {
    const std::string plain = name == "asin"   ? "arcsin"
                              : name == "acos" ? "arccos"
                              : name == "atan" ? "arctan"
                                               : name;
    const Quotient quarter = Scaled(Whole(Polynomial::Generator(kPi)), 1, 2);
    if (plain == "arccos") return Minus(quarter, Odd("arcsin", z), budget_);
    if (plain == "arccot") return Minus(quarter, Odd("arctan", z), budget_);
    if (plain == "arcsin" || plain == "arctan") return Odd(plain, z);
    return InverseHyperbolic(plain, z);
  }

  Value InverseHyperbolic(const std::string& name, const Quotient& z) {
    const Quotient one = Number(Rational(1)), square = Multiplied(z, z);
    if (name == "artanh") {
      const Value sum = Ln(Plus(one, z, budget_)), difference = Ln(Minus(one, z, budget_));
      if (!sum || !difference) return std::nullopt;
      return Scaled(Minus(*sum, *difference, budget_), 1, 2);
    }
    if (name != "arsinh" && name != "arcosh") return std::nullopt;
    const Quotient inside =
        name == "arsinh" ? Plus(square, one, budget_) : Minus(square, one, budget_);
    const Value root = RationalPower(inside, Rational(Integer(1), Integer(2)));
    return root ? Ln(Plus(z, *root, budget_)) : std::nullopt;
  }

  // An odd function, with an argument whose first coefficient is positive.
  Quotient Odd(const std::string& name, const Quotient& z) {
    if (z.num.zero()) return z;
    const bool negative = z.num.terms().begin()->second.negative();
    const Quotient value = *Opaque(name, negative ? Scaled(z, -1, 1) : z);
    return negative ? Scaled(value, -1, 1) : value;
  }

  Atoms& atoms_;
  Budget& budget_;
};

}  // namespace

std::optional<Quotient> FunctionOf(const std::string& name, const std::vector<Quotient>& arguments,
                                   Atoms& atoms, Budget& budget) {
  return Functions(atoms, budget).Call(name, arguments);
}

std::optional<Quotient> PowerOf(const Quotient& base, const Quotient& exponent, Atoms& atoms,
                                Budget& budget) {
  return Functions(atoms, budget).Raise(base, exponent);
}

}  // namespace lorikeet::math
