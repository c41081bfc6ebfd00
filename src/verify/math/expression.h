// An `Expression` is an answer as a tree: a number, an expression, or a tuple, set, interval,
// equation or matrix of them.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "verify/math/rational.h"

namespace lorikeet::math {

enum class Kind : uint8_t {
  kNumber,     // number; text: as written
  kSymbol,     // text: "x", "x_1", "\\alpha", "\\pi", "e", "i", "\\infty", "\\mathbb{R}"
  kSum,        // sum of its children
  kPlusMinus,  // +- child, a term of a sum; text: "+-" or "-+"
  kProduct,    // product of its children
  kNegate,     // - child
  kInverse,    // 1 / child
  kPower,      // child 0 to the power child 1
  kRoot,       // root of degree child 1 of child 0
  kFunction,   // text: "sin", "log" (child 1: the base), "abs", "binom", "factorial", ...
  kPercent,    // child %
  kDegrees,    // child in degrees
  kNumeral,    // digits with a base: text "1011", child 0 the base
  kTuple,      // or interval; text: its brackets, "()", "(]", "[)", "[]"
  kSet,        // {children}
  kList,       // children joined by commas, "and" or "or"
  kUnion,      // union of its children
  kRatio,      // children joined by ":"
  kRelation,   // children joined by the characters of text: = ~ ! < > l (<=) g (>=) i (in)
  kMatrix,     // rows of number.num() children each
  kSetMinus,   // child 0 without the elements of child 1
};

struct Expression {
  Kind kind = Kind::kNumber;
  std::string text;
  Rational number;
  bool decimal = false;  // kNumber: written with digits after the point, or as 1.5e-3
  std::vector<Expression> children;

  friend bool operator==(const Expression&, const Expression&) = default;
};

// Constants that a symbol may stand for; every other symbol is a variable.
inline bool IsConstant(const std::string& symbol) {
  return symbol == "\\pi" || symbol == "e" || symbol == "i" || symbol == "\\infty";
}

}  // namespace lorikeet::math
