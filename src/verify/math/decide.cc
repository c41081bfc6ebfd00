#include "verify/math/decide.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.h"
#include "verify/math/constant.h"
#include "verify/math/enclosure.h"
#include "verify/math/literal.h"
#include "verify/math/statement.h"

namespace lorikeet::math {
namespace {

constexpr std::array<int, 3> kBits = {128, 512, 2048};
constexpr std::array<int, 2> kMoreBits = {2048, 4096};  // for what could not be proven
constexpr int kMinPoints = 3;

// Appends the summands of e, those of a difference negated.
void AppendTerms(const Expression& e, bool negative,
                 std::vector<std::pair<Expression, bool>>* terms) {
  if (e.kind == Kind::kSum || e.kind == Kind::kNegate) {
    for (const Expression& child : e.children) {
      AppendTerms(child, negative != (e.kind == Kind::kNegate), terms);
    }
    return;
  }
  terms->emplace_back(e, negative);
}

// a - b without the summands that both have: a smaller number is told from zero with fewer bits.
Expression DifferenceOfTerms(const Expression& a, const Expression& b) {
  std::vector<std::pair<Expression, bool>> terms;
  AppendTerms(a, false, &terms);
  AppendTerms(b, true, &terms);
  std::multimap<std::pair<std::string, bool>, Expression> open;
  for (auto& [term, negative] : terms) {
    const std::string text = OrderedText(term);
    if (const auto opposite = open.find({text, !negative}); opposite != open.end()) {
      open.erase(opposite);
    } else {
      open.emplace(std::pair(text, negative), std::move(term));
    }
  }
  Expression sum{.kind = Kind::kSum};
  for (auto& [key, term] : open) {
    sum.children.push_back(key.second ? Unary(Kind::kNegate, std::move(term)) : std::move(term));
  }
  return sum;
}

// |a - b| against tolerance * max(|a|, |b|).
struct Distance {
  bool within = false, beyond = false;  // proven; both are false if the bits do not tell
};

Distance MeasuredDistance(const Box& a, const Box& b) {
  const int precision = a.re.precision();
  const Interval tolerance(Rational(Integer(1), Integer(kDecimalPrecision)), precision);
  const Interval distance = Size(a - b), x = Size(a) * tolerance, y = Size(b) * tolerance;
  return {distance.NotAbove(x) || distance.NotAbove(y), x.Below(distance) && y.Below(distance)};
}

// What enclosures at the points say.
struct Sample {
  int defined = 0;                     // points at which the reference has a value
  int undefined_answers = 0;           // points at which it has one and the answer has none
  bool apart = false;                  // the values differ at a point
  bool within = true, beyond = false;  // the distance at all points, at one of them
};

class Comparison {
 public:
  Comparison(const Expression& reference, const Expression& answer, Scope& scope)
      : a_(Simplified(reference, scope)),
        b_(Simplified(answer, scope)),
        variables_(HasVariables(reference) || HasVariables(answer)),
        scope_(scope) {}

  Match Run(bool decimals) {
    decimals = decimals && !IsWhole(a_) && !IsWhole(b_);  // an integer has no neighbours
    Sample sample;
    for (const int bits : kBits) {
      sample = SampleAt(bits);
      if (decimals ? sample.beyond : sample.apart) return Match::kDifferent;
      if (sample.defined >= Least() && sample.undefined_answers == 0) break;
    }
    if (sample.defined < Least()) return Match::kUnknown;
    if (sample.defined - sample.undefined_answers < Least()) return Match::kDifferent;
    if (ProvenEqual()) return Match::kEqual;
    if (decimals) return Rounded(sample);
    return variables_ ? Unproven() : Constants();
  }

 private:
  static bool IsWhole(const Expression& e) { return e.kind == Kind::kNumber && e.number.integer(); }
  int Least() const { return variables_ ? kMinPoints : 1; }

  Sample SampleAt(int bits) {
    Sample sample;
    for (int point = 0; point < (variables_ ? kPoints : 1); ++point) {
      const Enclosure a = Enclose(a_, point, bits, scope_);
      const Enclosure b = Enclose(b_, point, bits, scope_);
      if (a.box.broken()) continue;
      if (point >= kPositivePoints && (a.complex || b.complex)) continue;
      ++sample.defined;
      if (b.box.broken()) {
        ++sample.undefined_answers;
        continue;
      }
      sample.apart = sample.apart || Apart(a.box, b.box);
      const Distance distance = MeasuredDistance(a.box, b.box);
      sample.within = sample.within && distance.within;
      sample.beyond = sample.beyond || distance.beyond;
      if (sample.apart && sample.beyond) break;
    }
    return sample;
  }

  // Whether both are the same polynomials with atoms.
  bool ProvenEqual() {
    bool equal = false;
    const int64_t before = scope_.budget.work;
    scope_.budget.work = before / 2;
    scope_.atoms.emplace();
    try {
      const std::optional<Quotient> x = ExactValue(a_, scope_), y = ExactValue(b_, scope_);
      if (x && y) {
        equal = scope_.atoms->IsZero(Minus(*x, *y, scope_.budget).num, scope_.budget);
      }
    } catch (const Error&) {  // too long, or a division by zero
    }
    scope_.atoms.reset();
    scope_.budget.work = before - (before / 2 - std::max<int64_t>(0, scope_.budget.work));
    return equal;
  }

  Match Constants() {
    switch (IsZero(DifferenceOfTerms(a_, b_), scope_)) {
      case Zero::kYes:
        return Match::kEqual;
      case Zero::kNo:
        return Match::kDifferent;
      default:
        return Match::kUnproven;
    }
  }

  Match Unproven() {
    for (const int bits : kMoreBits) {
      if (SampleAt(bits).apart) return Match::kDifferent;
    }
    return Match::kUnproven;
  }

  // Equal up to the digits of a decimal. Values at points do not show that of functions with
  // pieces.
  Match Rounded(const Sample& sample) {
    if (!sample.within) return Match::kDifferent;
    if (!variables_) return Match::kEqual;
    if (const std::optional<bool> close = CloseCoefficients()) {
      return *close ? Match::kEqual : Match::kDifferent;
    }
    return HasPieces(a_) || HasPieces(b_) ? Match::kUnproven : Match::kEqual;
  }

  static bool HasPieces(const Expression& e) {
    constexpr std::array<std::string_view, 6> kNames = {"abs", "floor", "ceil",
                                                        "sgn", "min",   "max"};
    const bool named = e.kind == Kind::kFunction &&
                       std::find(kNames.begin(), kNames.end(), e.text) != kNames.end();
    const bool root = (e.kind == Kind::kRoot || e.kind == Kind::kPower) &&
                      HasVariables(e.children[0]) && e.children[0].kind != Kind::kSymbol &&
                      !(e.children[1].kind == Kind::kNumber && e.children[1].number.integer() &&
                        e.kind == Kind::kPower);
    return named || root || std::any_of(e.children.begin(), e.children.end(), HasPieces);
  }

  // By products of variables: the coefficients that two polynomials have there.
  using Coefficients = std::map<Monomial, std::pair<Polynomial, Polynomial>>;

  // Whether the coefficients of quotients of polynomials are within the tolerance; absent if a side
  // is no such quotient.
  std::optional<bool> CloseCoefficients() {
    try {
      const std::optional<Quotient> x = ExactValue(a_, scope_), y = ExactValue(b_, scope_);
      if (!x || !y) return std::nullopt;
      Coefficients coefficients;
      for (const bool first : {true, false}) {
        const Polynomial side =
            first ? Product(x->num, y->den, scope_.budget) : Product(y->num, x->den, scope_.budget);
        for (const auto& [monomial, coefficient] : side.terms()) {
          Monomial variables, constants;
          for (const Factor& factor : monomial) {
            (IsVariable(factor.generator) ? variables : constants).push_back(factor);
          }
          auto& both = coefficients[variables];
          (first ? both.first : both.second).Add(constants, coefficient);
        }
      }
      return std::all_of(coefficients.begin(), coefficients.end(), [&](const auto& entry) {
        return MeasuredDistance(Enclosed(entry.second.first), Enclosed(entry.second.second)).within;
      });
    } catch (const Error&) {
      return std::nullopt;
    }
  }

  // A polynomial of constants.
  Box Enclosed(const Polynomial& constant) {
    Expression sum{.kind = Kind::kSum};
    for (const auto& [monomial, coefficient] : constant.terms()) {
      Expression product{.kind = Kind::kProduct};
      product.children.push_back({.kind = Kind::kNumber, .number = coefficient});
      for (const Factor& factor : monomial) {
        Expression exponent{.kind = Kind::kNumber,
                            .number = Rational(Integer(factor.num), Integer(factor.den))};
        product.children.push_back(
            Binary(Kind::kPower, Base(factor.generator), std::move(exponent)));
      }
      sum.children.push_back(std::move(product));
    }
    return Enclose(sum, 0, kBits[1], scope_).box;
  }

  static Expression Base(int64_t generator) {
    if (generator > 0) return SmallNumber(generator);
    const char* name = generator == kImaginary ? "i"
                       : generator == kPi      ? "\\pi"
                       : generator == kEuler   ? "e"
                                               : "\\infty";
    return {.kind = Kind::kSymbol, .text = name};
  }

  Expression a_, b_;
  bool variables_;
  Scope& scope_;
};

// The part of a polynomial with the variables of one of its terms.
Polynomial CoefficientOf(const Polynomial& p, const Monomial& variables, const Atoms& atoms) {
  Polynomial part;
  for (const auto& [monomial, coefficient] : p.terms()) {
    Monomial own, constants;
    for (const Factor& factor : monomial) {
      (atoms.DependsOnVariables(factor.generator) ? own : constants).push_back(factor);
    }
    if (own == variables) part.Add(constants, coefficient);
  }
  return part;
}

Monomial VariablesOf(const Monomial& monomial, const Atoms& atoms) {
  Monomial own;
  for (const Factor& factor : monomial) {
    if (atoms.DependsOnVariables(factor.generator)) own.push_back(factor);
  }
  return own;
}

// Whether x / y is a constant: with p and q their coefficients of one product of variables, q x is
// p y.
bool Proportional(const Quotient& x, const Quotient& y, const Atoms& atoms, Budget& budget) {
  const Polynomial a = Product(x.num, y.den, budget), b = Product(y.num, x.den, budget);
  if (atoms.IsZero(a, budget) || atoms.IsZero(b, budget)) return false;
  const Monomial variables = VariablesOf(a.terms().begin()->first, atoms);
  const Polynomial p = CoefficientOf(a, variables, atoms), q = CoefficientOf(b, variables, atoms);
  if (atoms.IsZero(p, budget) || atoms.IsZero(q, budget)) return false;
  return atoms.IsZero(Sum(Product(q, a, budget), Negative(Product(p, b, budget)), budget), budget);
}

bool ProvenProportional(const Expression& a, const Expression& b, Scope& scope) {
  bool proven = false;
  scope.atoms.emplace();
  try {
    const std::optional<Quotient> x = ExactValue(a, scope), y = ExactValue(b, scope);
    proven = x && y && Proportional(*x, *y, *scope.atoms, scope.budget);
  } catch (const Error& error) {
    if (scope.budget.work < 0) {
      scope.atoms.reset();
      throw;
    }
  }
  scope.atoms.reset();
  return proven;
}

}  // namespace

Match CompareValues(const Expression& reference, const Expression& answer, bool decimals,
                    Scope& scope) {
  return Comparison(reference, answer, scope).Run(decimals);
}

Match CompareProportion(const Expression& a, const Expression& b, bool positive, Scope& scope) {
  if (!HasVariables(a) || !HasVariables(b)) return Match::kDifferent;
  const Expression x = Simplified(a, scope), y = Simplified(b, scope);
  bool tried = false;
  for (const int bits : kBits) {
    std::optional<std::pair<Box, Box>> first;
    int defined = 0;
    bool same_sign = true;
    for (int point = 0; point < kPoints; ++point) {
      const Enclosure here = Enclose(x, point, bits, scope), there = Enclose(y, point, bits, scope);
      if (here.box.broken()) continue;
      if (point >= kPositivePoints && (here.complex || there.complex)) continue;
      if (there.box.broken()) return Match::kDifferent;
      ++defined;
      if (!first) {
        first.emplace(here.box, there.box);
        const Box product = here.box * there.box;
        if (positive && product.re.negative()) return Match::kDifferent;
        same_sign = product.real && product.re.positive();
      } else if (Apart(here.box * first->second, there.box * first->first)) {
        return Match::kDifferent;
      }
    }
    if (defined < kMinPoints) continue;
    if (positive && !same_sign) continue;
    if (!std::exchange(tried, true) && ProvenProportional(x, y, scope)) return Match::kEqual;
    if (bits == kBits.back()) return Match::kUnproven;
  }
  return Match::kUnknown;
}

}  // namespace lorikeet::math
