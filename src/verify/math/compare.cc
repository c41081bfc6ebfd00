#include "verify/math/compare.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>
#include <vector>

#include "core/error.h"
#include "verify/math/literal.h"
#include "verify/math/set_minus.h"
#include "verify/math/statement.h"

namespace lorikeet::math {
namespace {

constexpr size_t kMaxElements = 100;  // elements of an unordered collection, compared pairwise

Match Same(bool equal) { return equal ? Match::kEqual : Match::kDifferent; }

Expression Difference(const Expression& a, const Expression& b) {
  return Binary(Kind::kSum, a, Unary(Kind::kNegate, b));
}

class Comparison {
 public:
  explicit Comparison(Scope& scope) : scope_(scope) {}

  Match Of(const Expression& reference, const Expression& answer) {
    scope_.budget.SpendWork(1);
    if (reference == answer) return Match::kEqual;
    return OfNamed(WithPointNamed(reference), WithPointNamed(answer));
  }

 private:
  Match OfNamed(const Expression& reference, const Expression& answer) {
    if (reference.kind == Kind::kRelation || answer.kind == Kind::kRelation) {
      return Relations(reference, answer);
    }
    const Expression a = WithoutElements(Expanded(reference, scope_.budget), scope_);
    const Expression b = WithoutElements(Expanded(answer, scope_.budget), scope_);
    if (a.kind == Kind::kSetMinus || b.kind == Kind::kSetMinus) return SetDifferences(a, b);
    if (IsCollection(a) || IsCollection(b)) return Collections(a, b);
    if (a.kind == Kind::kTuple || b.kind == Kind::kTuple) return Tuples(a, b);
    if (a.kind == Kind::kMatrix || b.kind == Kind::kMatrix) return Matrices(a, b);
    if (a.kind == Kind::kRatio || b.kind == Kind::kRatio) return Ratios(a, b);
    if (a.kind == Kind::kNumeral || b.kind == Kind::kNumeral) return Same(SameNumerals(a, b));
    return Scalars(a, b);
  }

  static bool IsCollection(const Expression& e) {
    return e.kind == Kind::kList || e.kind == Kind::kSet || e.kind == Kind::kUnion;
  }

  static std::optional<Claim> ClaimOf(const Expression& e) {
    return e.kind == Kind::kRelation ? ReadClaim(e) : std::optional(Claim{{}, e});
  }

  Match Relations(const Expression& reference, const Expression& answer) {
    const std::optional<Claim> a = ClaimOf(reference), b = ClaimOf(answer);
    if (a && b && (a->name == b->name || a->name.empty() || b->name.empty())) {
      const Match values = Of(a->value, b->value);
      if (values != Match::kDifferent) return values;
    }
    if ((a && a->application) || (b && b->application)) return Match::kDifferent;
    if (reference.kind != answer.kind) return Match::kDifferent;
    if (!AreScalars(reference) || !AreScalars(answer)) return SameSides(reference, answer);
    return SameRelation(reference, answer);
  }

  // Whether the sides have a difference: no side is a collection, and none has two values.
  static bool AreScalars(const Expression& e) {
    constexpr std::array<Kind, 9> kOthers = {Kind::kPlusMinus, Kind::kTuple,   Kind::kSet,
                                             Kind::kList,      Kind::kUnion,   Kind::kRatio,
                                             Kind::kMatrix,    Kind::kNumeral, Kind::kSetMinus};
    const bool other =
        std::find(kOthers.begin(), kOthers.end(), e.kind) != kOthers.end() ||
        (e.kind == Kind::kSymbol && (e.text == "\\infty" || e.text.starts_with("\\mathbb")));
    return !other && std::all_of(e.children.begin(), e.children.end(), AreScalars);
  }

  // Side by side: a point, an interval or a matrix has no difference. Two sides of an equation may
  // be exchanged.
  Match SameSides(const Expression& reference, const Expression& answer) {
    if (reference.text != answer.text) return Match::kDifferent;
    const Match straight = InOrder(reference.children, answer.children);
    if (straight != Match::kDifferent || reference.text != "=") return straight;
    return InOrder(reference.children, {answer.children[1], answer.children[0]});
  }

  // Two equations or inequalities whose differences of sides are proportional: 2x = 4 and x - 2 =
  // 0.
  Match SameRelation(const Expression& reference, const Expression& answer) {
    if (reference.children.size() != 2 || answer.children.size() != 2) return Match::kDifferent;
    const auto zero_form = [](const Expression& e, char* sign) {
      const bool turn = e.text == ">" || e.text == "g";
      *sign = e.text == ">" ? '<' : e.text == "g" ? 'l' : e.text[0];
      return turn ? Difference(e.children[1], e.children[0])
                  : Difference(e.children[0], e.children[1]);
    };
    char a_sign = 0, b_sign = 0;
    const Expression a = zero_form(reference, &a_sign), b = zero_form(answer, &b_sign);
    if (a_sign != b_sign || a_sign == 'i') return Match::kDifferent;
    return CompareProportion(a, b, a_sign == '<' || a_sign == 'l', scope_);
  }

  // The elements, with nested collections flattened: x = 1 or x = \pm 2.
  std::vector<Expression> Elements(const Expression& e) {
    if (!IsCollection(e)) return {e};
    std::vector<Expression> elements;
    for (const Expression& child : e.children) {
      Expression expanded = Expanded(child, scope_.budget);
      if (e.kind != Kind::kSet && (expanded.kind == Kind::kList || expanded.kind == Kind::kUnion)) {
        for (Expression& part : expanded.children) elements.push_back(std::move(part));
      } else {
        elements.push_back(std::move(expanded));
      }
    }
    if (elements.size() > kMaxElements) {
      Fail(ErrorCode::kOutOfMemory, "a collection of more than {} elements", kMaxElements);
    }
    return elements;
  }

  // x = 1, y = 2: the values in this order, if their names differ.
  static std::optional<std::vector<Expression>> NamedValues(const Expression& e) {
    std::set<std::string> names;
    std::vector<Expression> values;
    for (const Expression& part : e.children) {
      const Expression child = WithPointNamed(part);
      const std::optional<Claim> claim =
          child.kind == Kind::kRelation ? ReadClaim(child) : std::nullopt;
      if (!claim || claim->name.empty() || !names.insert(claim->name).second) return std::nullopt;
      values.push_back(claim->value);
    }
    return values.size() > 1 ? std::optional(std::move(values)) : std::nullopt;
  }

  Match Collections(const Expression& a, const Expression& b) {
    // Values of x and y in the order of their names, against a pair or against bare values.
    const auto a_named = NamedValues(a), b_named = NamedValues(b);
    if (a_named && !b_named && IsOrdered(b)) return InOrder(*a_named, b.children);
    if (b_named && !a_named && IsOrdered(a)) return InOrder(a.children, *b_named);
    return Unordered(Elements(a), Elements(b), a.kind == Kind::kSet || b.kind == Kind::kSet);
  }
  static bool IsOrdered(const Expression& e) {
    return e.kind == Kind::kList || (e.kind == Kind::kTuple && e.text == "()");
  }

  // Every element has a partner; in sets several may have the same.
  Match Unordered(const std::vector<Expression>& a, const std::vector<Expression>& b, bool sets) {
    if (!sets && a.size() != b.size()) return Match::kDifferent;
    if (a.empty() != b.empty()) return Match::kDifferent;
    std::vector<bool> taken(b.size(), false);
    Match open = Match::kDifferent;  // kUnknown or kUnproven if an element was
    for (const Expression& x : a) {
      bool found = false;
      for (size_t j = 0; j < b.size() && (sets || !found); ++j) {
        if (taken[j] && !sets) continue;
        const Match match = Of(x, b[j]);
        if (match == Match::kUnknown || match == Match::kUnproven) open = match;
        if (match != Match::kEqual) continue;
        found = true;
        taken[j] = true;
      }
      if (!found) return open;
    }
    const bool all = std::find(taken.begin(), taken.end(), false) == taken.end();
    return all ? Match::kEqual : open;
  }

  Match InOrder(const std::vector<Expression>& a, const std::vector<Expression>& b) {
    if (a.size() != b.size()) return Match::kDifferent;
    Match all = Match::kEqual;
    for (size_t i = 0; i < a.size(); ++i) {
      const Match match = Of(a[i], b[i]);
      if (match == Match::kDifferent) return match;
      if (match != Match::kEqual) all = match;
    }
    return all;
  }

  Match Tuples(const Expression& a, const Expression& b) {
    if (a.kind != b.kind || a.text != b.text) return Match::kDifferent;
    return InOrder(a.children, b.children);
  }

  Match Matrices(const Expression& a, const Expression& b) {
    if (a.kind != b.kind || a.number != b.number) return Match::kDifferent;
    return InOrder(a.children, b.children);
  }

  // Those that have no simpler form: by their parts.
  Match SetDifferences(const Expression& a, const Expression& b) {
    if (a.kind != Kind::kSetMinus) return Match::kDifferent;
    const Match parts = a.kind == b.kind ? InOrder(a.children, b.children) : Match::kUnproven;
    return parts == Match::kEqual ? parts : Match::kUnproven;
  }

  // 3:4 is \frac{3}{4}, and not 6:8.
  Match Ratios(const Expression& a, const Expression& b) {
    if (a.kind == b.kind) return InOrder(a.children, b.children);
    const auto value = [](const Expression& e) {
      if (e.kind != Kind::kRatio || e.children.size() != 2) return e;
      return Binary(Kind::kProduct, e.children[0], Unary(Kind::kInverse, e.children[1]));
    };
    return Scalars(value(a), value(b));
  }

  // Compares digit by digit, since the task was to write them. One side may leave out the base.
  static bool SameNumerals(const Expression& a, const Expression& b) {
    if (a.text != b.text) return false;
    if (a.kind == b.kind) return a.children == b.children;
    return a.kind == Kind::kNumber || b.kind == Kind::kNumber;
  }

  // 5% is 5 or 0.05, whichever the other side has.
  Match Scalars(const Expression& a, const Expression& b) {
    const bool a_percent = a.kind == Kind::kPercent, b_percent = b.kind == Kind::kPercent;
    if (a_percent && b_percent) return Values(a.children[0], b.children[0]);
    if (!a_percent && !b_percent) return Values(a, b);
    const Match plain = Values(a_percent ? a.children[0] : a, b_percent ? b.children[0] : b);
    if (plain == Match::kEqual) return plain;
    const Match hundredth = Values(a, b);
    return hundredth == Match::kDifferent ? plain : hundredth;
  }

  Match Values(const Expression& a, const Expression& b) {
    if (HasInfinity(a) != HasInfinity(b)) return Match::kDifferent;
    const bool decimals = HasDecimals(a) || HasDecimals(b);
    const Match exact = ExactMatch(a, b, decimals);
    if (exact != Match::kUnknown) return exact;
    if (OrderedText(a) == OrderedText(b)) return Match::kEqual;  // (x + y)^90 is (y + x)^90
    if (!decimals && DifferAtPoints(a, b)) return Match::kDifferent;
    return CompareValues(a, b, decimals, scope_);
  }

  // kUnknown if a side has no exact value, a rounded one, or one that is too costly.
  Match ExactMatch(const Expression& a, const Expression& b, bool decimals) {
    Match match = Match::kUnknown;
    WithinShare([&] {
      const std::optional<Quotient> x = ExactValue(a, scope_), y = ExactValue(b, scope_);
      if (x && y && Equal(*x, *y, scope_.budget)) {
        match = Match::kEqual;
      } else if (x && y && (!decimals || IsInteger(*x) || IsInteger(*y))) {
        match = Match::kDifferent;
      }
    });
    return match;
  }

  // Whether the values differ exactly with integers for the variables: for sums that are too long
  // to expand, and for variables in exponents. Equality needs more points, including negative ones.
  bool DifferAtPoints(const Expression& a, const Expression& b) {
    constexpr int kPoints = 2;
    if (!HasVariables(a) && !HasVariables(b)) return false;
    bool differ = false;
    for (int point = 0; point < kPoints; ++point) {
      scope_.point = point;
      differ = differ || ExactMatch(a, b, /*decimals=*/false) == Match::kDifferent;
    }
    scope_.point.reset();
    return differ;
  }

  // Runs `attempt` with a part of the budget; it ends there or at a division by zero, so that later
  // attempts still have budget.
  template <class Attempt>
  void WithinShare(const Attempt& attempt) {
    const int64_t before = scope_.budget.work, share = before / 3;
    scope_.budget.work = share;
    try {
      attempt();
    } catch (const Error&) {
    }
    scope_.budget.work = before - (share - std::max<int64_t>(0, scope_.budget.work));
  }
  static bool IsInteger(const Quotient& value) {
    const std::optional<Rational> rational = ToRational(value);
    return rational && rational->integer();
  }

  Scope& scope_;
};

}  // namespace

Match Compare(const Expression& reference, const Expression& answer, Scope& scope) {
  return Comparison(scope).Of(reference, answer);
}

}  // namespace lorikeet::math
