#include "verify/math/polynomial.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

namespace lorikeet::math {
namespace {

constexpr int64_t kMaxExponent = 1'000'000;
constexpr int64_t kMaxDivisor = 1 << 16;  // a remaining factor above its square may be composite

// Work of a reduced fraction of this size: a greatest common divisor.
int64_t CostOfFraction(int64_t limbs) { return limbs * limbs / 256; }

Factor Reduced(int64_t generator, int64_t num, int64_t den) {
  const int64_t divisor = std::gcd(num, den);
  num /= divisor;
  den /= divisor;
  if (num > kMaxExponent || num < -kMaxExponent || den > kMaxExponent) {
    Fail(ErrorCode::kOutOfMemory, "an exponent above {}", kMaxExponent);
  }
  return {generator, static_cast<int32_t>(num), static_cast<int32_t>(den)};
}

// A product of factors being built: whole powers of primes and of i go into the coefficient.
struct Term {
  Monomial monomial;
  Rational coefficient{1};

  void Append(Factor factor, Budget& budget) {
    if (factor.generator > 0) TakeWholePowers(factor, budget);
    if (factor.generator == kImaginary) TakeSquares(factor);
    if (factor.num != 0) monomial.push_back(factor);
  }

 private:
  void TakeWholePowers(Factor& factor, Budget& budget) {
    // num / den, rounded down.
    const int32_t whole = factor.num / factor.den - (factor.num % factor.den < 0 ? 1 : 0);
    if (whole == 0) return;
    const int64_t limbs = std::min<int64_t>(std::abs(whole), Integer::kMaxLimbs);
    budget.SpendWork(1 + CostOfFraction(limbs));
    factor.num -= whole * factor.den;
    coefficient = coefficient * Rational::Power(Rational(factor.generator), whole);
  }
  void TakeSquares(Factor& factor) {
    const int32_t power = ((factor.num % 4) + 4) % 4;
    if (power >= 2) coefficient = -coefficient;
    factor.num = power % 2;
  }
};

Term Multiply(const Monomial& a, const Monomial& b, Budget& budget) {
  Term term;
  size_t i = 0, j = 0;
  while (i < a.size() || j < b.size()) {
    if (j == b.size() || (i < a.size() && a[i].generator < b[j].generator)) {
      term.monomial.push_back(a[i++]);
    } else if (i == a.size() || b[j].generator < a[i].generator) {
      term.monomial.push_back(b[j++]);
    } else {
      const Factor &x = a[i++], &y = b[j++];
      const int64_t num = static_cast<int64_t>(x.num) * y.den + static_cast<int64_t>(y.num) * x.den;
      const int64_t den = static_cast<int64_t>(x.den) * y.den;
      if (num != 0) term.Append(Reduced(x.generator, num, den), budget);
    }
  }
  return term;
}

// Whether generator^(num/den of factor) to the power exponent is a power of the generator.
bool IsPlainPower(const Factor& factor, const Rational& exponent, const Factor& power) {
  if (factor.generator == kImaginary) return exponent.integer();
  if (IsAtom(factor.generator)) return exponent.integer() || IsPositiveAtom(factor.generator);
  if (factor.generator > 0 || !IsVariable(factor.generator)) return true;
  const bool even_root = !exponent.den().odd();
  const bool even_power = factor.num % 2 == 0;
  return !(even_root && even_power && power.num % 2 != 0);  // sqrt(x^2) is |x|
}

}  // namespace

bool Factorise(Integer n, std::vector<std::pair<int64_t, int32_t>>* primes, Budget& budget) {
  const auto divide_out = [&](int64_t p) {
    int32_t count = 0;
    for (Integer quotient; (n % Integer(p)).zero(); ++count) {
      budget.SpendWork(n.size());
      n = n / Integer(p);
    }
    if (count > 0) primes->emplace_back(p, count);
  };
  constexpr int64_t kMaxSmall = 100;
  for (int64_t p = 2; p < kMaxSmall; ++p) divide_out(p);
  const std::optional<int64_t> small = n.ToInt64();
  if (!small) return false;
  int64_t rest = *small;
  budget.SpendWork(std::min<int64_t>(rest, kMaxDivisor) / 64);
  for (int64_t p = kMaxSmall + 1; p * p <= rest && p < kMaxDivisor; p += 2) {
    int32_t count = 0;
    for (; rest % p == 0; rest /= p) ++count;
    if (count > 0) primes->emplace_back(p, count);
  }
  if (rest >= kMaxDivisor * kMaxDivisor) return false;
  if (rest > 1) primes->emplace_back(rest, 1);
  return true;
}

namespace {

// Appends n^(num / den) to factors.
bool AppendPower(const Integer& n, int64_t num, int64_t den, Monomial* factors, Budget& budget) {
  std::vector<std::pair<int64_t, int32_t>> primes;
  if (!Factorise(n, &primes, budget)) return false;
  for (const auto& [prime, count] : primes) factors->push_back(Reduced(prime, num * count, den));
  return true;
}

}  // namespace

Polynomial Polynomial::Generator(int64_t generator) {
  Polynomial result;
  result.Add({{generator, 1, 1}}, Rational(1));
  return result;
}

Polynomial GeneratorPower(int64_t generator, const Rational& exponent) {
  Polynomial result;
  if (exponent.zero()) return Polynomial(Rational(1));
  const std::optional<int64_t> num = exponent.num().ToInt64(), den = exponent.den().ToInt64();
  if (!num || !den) Fail(ErrorCode::kOutOfMemory, "an exponent above {}", kMaxExponent);
  result.Add({Reduced(generator, *num, *den)}, Rational(1));
  return result;
}

std::optional<Rational> Polynomial::ToRational() const {
  if (terms_.empty()) return Rational();
  if (terms_.size() > 1 || !terms_.begin()->first.empty()) return std::nullopt;
  return terms_.begin()->second;
}

void Polynomial::Add(const Monomial& monomial, const Rational& coefficient) {
  if (coefficient.zero()) return;
  const auto [at, is_new] = terms_.try_emplace(monomial, coefficient);
  if (is_new) return;
  at->second = at->second + coefficient;
  if (at->second.zero()) terms_.erase(at);
}

Polynomial Sum(const Polynomial& a, const Polynomial& b, Budget& budget) {
  Polynomial sum = a;
  for (const auto& [monomial, coefficient] : b.terms()) {
    budget.SpendWork(5 + CostOfFraction(coefficient.size()));
    sum.Add(monomial, coefficient);
  }
  return sum;
}

Polynomial Product(const Polynomial& a, const Polynomial& b, Budget& budget) {
  Polynomial product;
  for (const auto& [left, x] : a.terms()) {
    for (const auto& [right, y] : b.terms()) {
      budget.SpendWork(20 + CostOfFraction(x.size() + y.size()));
      const Term term = Multiply(left, right, budget);
      product.Add(term.monomial, term.coefficient * x * y);
    }
  }
  return product;
}

Polynomial Negative(const Polynomial& a) {
  Polynomial negative;
  for (const auto& [monomial, coefficient] : a.terms()) negative.Add(monomial, -coefficient);
  return negative;
}

std::optional<Polynomial> TermPower(const Polynomial& term, const Rational& exponent,
                                    Budget& budget) {
  const auto& [monomial, coefficient] = *term.terms().begin();
  const std::optional<int64_t> p = exponent.num().ToInt64(), q = exponent.den().ToInt64();
  if (!p || !q || std::abs(*p) > kMaxExponent || *q > kMaxExponent) {
    Fail(ErrorCode::kOutOfMemory, "an exponent above {}", kMaxExponent);
  }
  Monomial factors;
  for (const Factor& factor : monomial) {
    const Factor power = Reduced(factor.generator, factor.num * *p, factor.den * *q);
    if (!IsPlainPower(factor, exponent, power)) return std::nullopt;
    factors.push_back(power);
  }
  Rational rational(1);
  if (*q == 1) {
    const int64_t limbs = std::min<int64_t>(coefficient.size() * std::abs(*p), Integer::kMaxLimbs);
    budget.SpendWork(1 + CostOfFraction(limbs));
    rational = Rational::Power(coefficient, static_cast<int32_t>(*p));
  } else {
    const bool negative = coefficient.negative();
    if (negative && *q % 2 == 0 && *q != 2) return std::nullopt;
    if (negative && *q == 2) factors.push_back(Reduced(kImaginary, *p, 1));
    if (negative && *q % 2 == 1 && *p % 2 != 0) rational = Rational(-1);
    if (!AppendPower(coefficient.num().Abs(), *p, *q, &factors, budget) ||
        !AppendPower(coefficient.den(), -*p, *q, &factors, budget)) {
      return std::nullopt;
    }
  }
  // The same prime may come from the coefficient and from the monomial.
  Polynomial power(rational);
  for (const Factor& factor : factors) {
    Term one;
    one.Append(factor, budget);
    Polynomial piece;
    piece.Add(one.monomial, one.coefficient);
    power = Product(power, piece, budget);
  }
  return power;
}

}  // namespace lorikeet::math
