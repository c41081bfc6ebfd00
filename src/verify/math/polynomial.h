// A `Polynomial` is a sum of products of powers, in a form that is the same for equal sums.
//
// A term is a rational number times powers of generators: primes (with exponents in [0, 1), so that
// surds are terms), i, pi, e and variables. Products of different fractional powers of primes are
// linearly independent over the rationals (Besicovitch, J. London Math. Soc. 15, 1940), i over the
// reals, pi over the algebraic numbers; so a sum is zero if and only if it has no terms. For e and
// pi together that is not proven: two numbers that are equal by a relation between the two would be
// called different, never the other way round.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "verify/math/budget.h"
#include "verify/math/rational.h"

namespace lorikeet::math {

// A generator above 0 is that prime.
constexpr int64_t kImaginary = -1, kPi = -2, kEuler = -3, kInfinity = -4, kFirstVariable = -16;
// Atoms (verify/math/atoms.h): even ones are positive numbers.
constexpr int64_t kFirstAtom = -1'000'000;
inline bool IsAtom(int64_t generator) { return generator <= kFirstAtom; }
inline bool IsPositiveAtom(int64_t generator) { return IsAtom(generator) && generator % 2 == 0; }
inline bool IsVariable(int64_t generator) {
  return generator <= kFirstVariable && !IsAtom(generator);
}

struct Factor {  // generator^(num / den), in lowest terms, num not 0
  int64_t generator = 0;
  int32_t num = 1, den = 1;
  friend bool operator==(const Factor&, const Factor&) = default;
  friend bool operator<(const Factor& a, const Factor& b) {
    return std::tie(a.generator, a.num, a.den) < std::tie(b.generator, b.num, b.den);
  }
};
using Monomial = std::vector<Factor>;  // by generator

class Polynomial {
 public:
  Polynomial() = default;  // 0
  explicit Polynomial(const Rational& number) { Add({}, number); }
  static Polynomial Generator(int64_t generator);

  bool zero() const { return terms_.empty(); }
  size_t size() const { return terms_.size(); }
  const std::map<Monomial, Rational>& terms() const { return terms_; }
  // Its value if it is a rational number.
  std::optional<Rational> ToRational() const;
  void Add(const Monomial& monomial, const Rational& coefficient);

  friend bool operator==(const Polynomial&, const Polynomial&) = default;

 private:
  std::map<Monomial, Rational> terms_;  // no zeros
};

// generator^exponent.
Polynomial GeneratorPower(int64_t generator, const Rational& exponent);

// All throw Error(kOutOfMemory) beyond the budget.
Polynomial Sum(const Polynomial& a, const Polynomial& b, Budget& budget);
Polynomial Product(const Polynomial& a, const Polynomial& b, Budget& budget);
Polynomial Negative(const Polynomial& a);
// Appends the prime factors of n > 0; false if it is too large.
bool Factorise(Integer n, std::vector<std::pair<int64_t, int32_t>>* primes, Budget& budget);

// A polynomial of one term, raised to exponent. Absent if the power is not a term: a root of a
// number that is too large to factor, of i, or of an even power of a variable (which may be
// negative). Roots of odd degree of negative numbers are the real ones.
std::optional<Polynomial> TermPower(const Polynomial& term, const Rational& exponent,
                                    Budget& budget);

}  // namespace lorikeet::math
