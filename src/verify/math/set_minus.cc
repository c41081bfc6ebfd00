#include "verify/math/set_minus.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "verify/math/constant.h"
#include "verify/math/literal.h"
#include "verify/math/statement.h"

namespace lorikeet::math {
namespace {

// -1 for minus infinity, 1 for infinity, 0 for other expressions.
int InfinitySign(const Expression& e) {
  if (e.kind == Kind::kSymbol && e.text == "\\infty") return 1;
  const bool minus = e.kind == Kind::kNegate && InfinitySign(e.children[0]) == 1;
  return minus ? -1 : 0;
}

// The sign of a - b; absent if it is not known.
std::optional<int> Order(const Expression& a, const Expression& b, Scope& scope) {
  if (HasVariables(a) || HasVariables(b)) return std::nullopt;
  const int x = InfinitySign(a), y = InfinitySign(b);
  if (x != 0 || y != 0) return x == y ? std::nullopt : std::optional(x > y ? 1 : -1);
  const Expression difference = Binary(Kind::kSum, a, Unary(Kind::kNegate, b));
  return SignOf(Simplified(difference, scope), scope);
}

bool IsInterval(const Expression& e) { return e.kind == Kind::kTuple && e.children.size() == 2; }

// The points of a finite set, those with +- twice.
std::optional<std::vector<Expression>> PointsOf(const Expression& set, Scope& scope) {
  if (set.kind != Kind::kSet) return std::nullopt;
  std::vector<Expression> points;
  for (const Expression& child : set.children) {
    const Expression expanded = Expanded(child, scope.budget);
    if (expanded.kind == Kind::kList) {
      points.insert(points.end(), expanded.children.begin(), expanded.children.end());
    } else {
      points.push_back(expanded);
    }
  }
  return points;
}

// Appends an interval without a point; false if their order is not known.
bool AppendWithout(const Expression& interval, const Expression& point,
                   std::vector<Expression>* pieces, Scope& scope) {
  const Expression &low = interval.children[0], &high = interval.children[1];
  const std::optional<int> above = Order(point, low, scope), below = Order(high, point, scope);
  if (!above || !below) return false;
  const auto piece = [&](const Expression& from, const Expression& to, char open, char close) {
    pieces->push_back(Binary(Kind::kTuple, from, to, std::string{open, close}));
  };
  const char open = interval.text[0], close = interval.text[1];
  if (*above < 0 || *below < 0) {
    pieces->push_back(interval);
  } else if (*above == 0 || *below == 0) {
    if (*above != *below) piece(low, high, *above == 0 ? '(' : open, *below == 0 ? ')' : close);
  } else {
    piece(low, point, open, ')');
    piece(point, high, '(', close);
  }
  return true;
}

std::optional<Expression> IntervalsWithout(const Expression& e,
                                           const std::vector<Expression>& points, Scope& scope) {
  std::vector<Expression> intervals = e.kind == Kind::kUnion ? e.children : std::vector{e};
  if (!std::all_of(intervals.begin(), intervals.end(), IsInterval)) return std::nullopt;
  for (const Expression& point : points) {
    std::vector<Expression> pieces;
    for (const Expression& interval : intervals) {
      if (!AppendWithout(interval, point, &pieces, scope)) return std::nullopt;
    }
    intervals = std::move(pieces);
  }
  if (intervals.size() == 1) return intervals[0];
  const Kind kind = intervals.empty() ? Kind::kSet : Kind::kUnion;
  return Expression{.kind = kind, .children = std::move(intervals)};
}

std::optional<Expression> SetWithout(const Expression& set, const std::vector<Expression>& points,
                                     Scope& scope) {
  Expression rest{.kind = Kind::kSet};
  for (const Expression& element : set.children) {
    bool removed = false;
    for (const Expression& point : points) {
      const std::optional<int> order = Order(element, point, scope);
      if (!order) return std::nullopt;
      removed = removed || *order == 0;
    }
    if (!removed) rest.children.push_back(element);
  }
  return rest;
}

// R - {0}, which is written as a sum.
std::optional<Expression> AsSetMinus(const Expression& e) {
  const bool difference = e.kind == Kind::kSum && e.children.size() == 2 &&
                          e.children[1].kind == Kind::kNegate &&
                          e.children[1].children[0].kind == Kind::kSet;
  if (!difference) return std::nullopt;
  return Binary(Kind::kSetMinus, e.children[0], e.children[1].children[0]);
}

}  // namespace

Expression WithoutElements(const Expression& expression, Scope& scope) {
  const std::optional<Expression> sum = AsSetMinus(expression);
  const Expression& e = sum ? *sum : expression;
  if (e.kind == Kind::kUnion) {
    Expression parts{.kind = Kind::kUnion};
    for (const Expression& child : e.children) {
      Expression part = WithoutElements(Expanded(child, scope.budget), scope);
      if (part.kind == Kind::kUnion) {
        parts.children.insert(parts.children.end(), part.children.begin(), part.children.end());
      } else {
        parts.children.push_back(std::move(part));
      }
    }
    return parts;
  }
  if (e.kind != Kind::kSetMinus) return expression;
  const Expression whole = WithoutElements(Expanded(e.children[0], scope.budget), scope);
  const auto points = PointsOf(e.children[1], scope);
  if (!points) return e;
  const std::optional<Expression> rest = whole.kind == Kind::kSet
                                             ? SetWithout(whole, *points, scope)
                                             : IntervalsWithout(whole, *points, scope);
  return rest.value_or(e);
}

}  // namespace lorikeet::math
