// `Atoms` are generators of polynomials that stand for values of functions and for sums that are
// raised to a power: exp(x), ln 2, sqrt(x + 1). Equal polynomials with atoms have equal values,
// wherever the values are real; different ones may be equal all the same.
//
// sin, cos and their kin are written with exp: sin x = (exp(ix) - exp(-ix)) / 2i, so that sin^2 x +
// cos^2 x and 1 are the same polynomial. ln of a number is a sum over its primes. |x| is the root
// of x^2.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "verify/math/quotient.h"

namespace lorikeet::math {

class Atoms {
 public:
  struct Atom {
    std::string name;   // "exp", "ln", "sum" (its argument itself), "arctan", "floor", ...
    Quotient argument;  // exp: a product without a coefficient
    bool real = true;
    int64_t generator = 0;
  };

  // The generator of an atom, the same for equal arguments. Throws Error(kOutOfMemory) beyond 60.
  int64_t Generator(const std::string& name, const Quotient& argument, bool positive, bool real,
                    Budget& budget);
  const Atom& Get(int64_t generator) const;
  const std::vector<Atom>& all() const { return atoms_; }

  // Whether every factor is real, for real values of the variables.
  bool IsReal(const Polynomial& polynomial) const;
  bool IsReal(const Quotient& quotient) const {
    return IsReal(quotient.num) && IsReal(quotient.den);
  }
  bool DependsOnVariables(const Quotient& quotient) const;
  bool DependsOnVariables(int64_t generator) const;

  // Whether the polynomial is zero after all whole powers of sums are multiplied out.
  bool IsZero(Polynomial polynomial, Budget& budget) const;

 private:
  std::vector<Atom> atoms_;
};

// Value of a function, or of base^exponent; absent if it cannot be written with atoms.
std::optional<Quotient> FunctionOf(const std::string& name, const std::vector<Quotient>& arguments,
                                   Atoms& atoms, Budget& budget);
std::optional<Quotient> PowerOf(const Quotient& base, const Quotient& exponent, Atoms& atoms,
                                Budget& budget);

}  // namespace lorikeet::math
