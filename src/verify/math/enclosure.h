// An `Enclosure` is a rectangle of complex numbers that contains the value of an expression.
#pragma once
#include <optional>

#include "verify/math/exact.h"
#include "verify/math/expression.h"
#include "verify/math/interval.h"

namespace lorikeet::math {

struct Box {
  Interval re, im;
  bool real = true;  // im is zero

  explicit Box(Interval value) : re(std::move(value)), im(re.precision()) {}
  Box(Interval a, Interval b) : re(std::move(a)), im(std::move(b)), real(im.zero()) {}
  bool broken() const { return re.broken() || im.broken(); }
};
Box operator-(const Box& a, const Box& b);
Box operator*(const Box& a, const Box& b);
Interval Size(const Box& z);  // |z|
// Whether no number is in both.
bool Apart(const Box& a, const Box& b);

struct Enclosure {
  Box box;                 // broken: no value, or none that can be told at this precision
  bool complex = false;    // a function of a real number had a complex value
  bool undefined = false;  // no value: 1 / 0, ln 0
};

// Points are fixed pseudo-random values of the variables, positive ones first.
inline constexpr int kPositivePoints = 6, kPoints = 9;

// `expression` without variables may have any point. Spends work of scope.budget, more for more
// bits; throws Error(kOutOfMemory) beyond it.
Enclosure Enclose(const Expression& expression, int point, int precision, Scope& scope);

}  // namespace lorikeet::math
