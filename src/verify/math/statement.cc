#include "verify/math/statement.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "verify/math/literal.h"

namespace lorikeet::math {
namespace {

constexpr size_t kMaxNameParts = 3;  // x, f(x), f(x, y)

template <class Visit>
void ForEachNode(const Expression& expression, const Visit& visit) {
  visit(expression);
  for (const Expression& child : expression.children) ForEachNode(child, visit);
}

template <class Test>
bool Any(const Expression& expression, const Test& test) {
  return test(expression) || std::any_of(expression.children.begin(), expression.children.end(),
                                         [&](const Expression& child) { return Any(child, test); });
}

bool IsVariableNode(const Expression& e) { return e.kind == Kind::kSymbol && !IsConstant(e.text); }

// "x", "f x" for f(x) (read as a product), "x, y" for (x, y); empty if it is not a name.
std::string NameOf(const Expression& e) {
  if (e.kind == Kind::kSymbol) return e.text == "\\pi" || e.text == "\\infty" ? "" : e.text;
  const bool parts = e.kind == Kind::kProduct || (e.kind == Kind::kTuple && e.text == "()");
  if (!parts || e.children.size() > kMaxNameParts) return {};
  std::string name = e.kind == Kind::kTuple ? "(" : "";
  for (const Expression& child : e.children) {
    const std::string part = NameOf(child);
    if (part.empty()) return {};
    name += part + " ";
  }
  return name;
}

Expression Infinity(bool negative) {
  Expression infinity{.kind = Kind::kSymbol, .text = "\\infty"};
  return negative ? Unary(Kind::kNegate, std::move(infinity)) : infinity;
}

Expression Interval(Expression low, Expression high, bool low_closed, bool high_closed) {
  const std::string brackets = std::string(low_closed ? "[" : "(") + (high_closed ? "]" : ")");
  return Binary(Kind::kTuple, std::move(low), std::move(high), brackets);
}

// f(0), read as a product of f and 0. Other letters are factors.
bool IsApplication(const Expression& e) {
  constexpr std::string_view kFunctions = "fghFGHPpqT";
  if (e.kind != Kind::kProduct || e.children.size() != 2) return false;
  const Expression &function = e.children[0], &argument = e.children[1];
  return function.kind == Kind::kSymbol &&
         kFunctions.find(function.text[0]) != std::string_view::npos && !HasVariables(argument);
}

std::optional<Claim> ReadEquation(const Expression& e) {
  const Expression& first = e.children.front();
  const Expression& last = e.children.back();
  if (std::string name = NameOf(first); !name.empty()) return Claim{std::move(name), last};
  if (IsVariableNode(last)) return Claim{last.text, first};
  if (!HasVariables(first)) return Claim{{}, last};  // 2 + 2 = 4
  if (IsApplication(first)) return Claim{OrderedText(first), last, /*application=*/true};
  return std::nullopt;
}

// "9/7 \approx 1.29" claims 9/7, the part before the first \approx. "x \approx 5" claims 5.
Expression WithoutApproximations(const Expression& e) {
  const size_t at = e.text.find('~');
  if (at == std::string::npos) return e;
  Expression exact = e;
  if (at == 0 && !NameOf(e.children[0]).empty()) {
    std::replace(exact.text.begin(), exact.text.end(), '~', '=');
  } else {
    exact.text.resize(at);
    exact.children.resize(at + 1);
  }
  return exact;
}

bool IsInequality(char relation) {
  return relation == '<' || relation == '>' || relation == 'l' || relation == 'g';
}

// x < 5 and 5 > x, with any of the four signs.
std::optional<Claim> ReadBound(const Expression& e) {
  const bool name_first = IsVariableNode(e.children[0]);
  const Expression& name = e.children[name_first ? 0 : 1];
  const Expression& bound = e.children[name_first ? 1 : 0];
  if (!IsVariableNode(name) || HasVariables(bound)) return std::nullopt;
  const char relation = e.text[0];
  if (relation == '!') {
    Expression outside = Binary(Kind::kUnion, Interval(Infinity(true), bound, false, false),
                                Interval(bound, Infinity(false), false, false));
    return Claim{name.text, std::move(outside)};
  }
  if (!IsInequality(relation)) return std::nullopt;
  const bool closed = relation == 'l' || relation == 'g';
  const bool above = (relation == '>' || relation == 'g') == name_first;
  return Claim{name.text, above ? Interval(bound, Infinity(false), closed, false)
                                : Interval(Infinity(true), bound, false, closed)};
}

// 1 < x <= 5 and 5 >= x > 1.
std::optional<Claim> ReadBetween(const Expression& e) {
  const Expression &left = e.children[0], &name = e.children[1], &right = e.children[2];
  if (!IsVariableNode(name) || HasVariables(left) || HasVariables(right)) return std::nullopt;
  const auto rising = [](char relation) { return relation == '<' || relation == 'l'; };
  if (!IsInequality(e.text[0]) || !IsInequality(e.text[1]) ||
      rising(e.text[0]) != rising(e.text[1])) {
    return std::nullopt;
  }
  const bool left_closed = e.text[0] == 'l' || e.text[0] == 'g';
  const bool right_closed = e.text[1] == 'l' || e.text[1] == 'g';
  return Claim{name.text, rising(e.text[0]) ? Interval(left, right, left_closed, right_closed)
                                            : Interval(right, left, right_closed, left_closed)};
}

// `e` with every +- replaced by + or by -, and every -+ by the other.
Expression WithSign(const Expression& e, bool plus) {
  if (e.kind == Kind::kPlusMinus) {
    Expression term = WithSign(e.children[0], plus);
    return (e.text == "+-") == plus ? term : Unary(Kind::kNegate, std::move(term));
  }
  Expression result{.kind = e.kind, .text = e.text, .number = e.number, .decimal = e.decimal};
  for (const Expression& child : e.children) result.children.push_back(WithSign(child, plus));
  return result;
}

// number * matrix, -matrix.
Expression ScaledMatrix(const Expression& e, Budget& budget) {
  const auto at = std::find_if(e.children.begin(), e.children.end(),
                               [](const Expression& c) { return c.kind == Kind::kMatrix; });
  if (at == e.children.end()) return e;
  Expression matrix = *at;
  for (Expression& cell : matrix.children) {
    budget.SpendNode();
    budget.SpendWork(static_cast<int64_t>(e.children.size()));
    Expression scaled{.kind = e.kind};
    for (auto child = e.children.begin(); child != e.children.end(); ++child) {
      if (child != at) scaled.children.push_back(*child);
    }
    scaled.children.push_back(std::move(cell));
    cell = std::move(scaled);
  }
  return matrix;
}

}  // namespace

std::set<std::string> Variables(const Expression& expression) {
  std::set<std::string> variables;
  ForEachNode(expression, [&](const Expression& e) {
    if (e.kind == Kind::kSymbol) variables.insert(e.text);
  });
  return variables;
}

bool HasVariables(const Expression& expression) { return Any(expression, IsVariableNode); }

bool HasDecimals(const Expression& expression) {
  return Any(expression, [](const Expression& e) { return e.decimal; });
}

bool HasInfinity(const Expression& expression) {
  return Any(expression, [](const Expression& e) { return e.text == "\\infty"; });
}

Expression WithPointNamed(const Expression& expression) {
  const std::vector<Expression>& parts = expression.children;
  const bool point = expression.kind == Kind::kProduct && parts.size() == 2 &&
                     parts[0].kind == Kind::kSymbol && parts[0].text[0] >= 'A' &&
                     parts[0].text[0] <= 'Z' && parts[1].kind == Kind::kTuple &&
                     parts[1].text == "()";
  return point ? Binary(Kind::kRelation, parts[0], parts[1], "=") : expression;
}

std::string OrderedText(const Expression& expression) {
  std::vector<std::string> parts;
  for (const Expression& child : expression.children) parts.push_back(OrderedText(child));
  if (expression.kind == Kind::kSum || expression.kind == Kind::kProduct) {
    std::sort(parts.begin(), parts.end());
  }
  const bool number = expression.kind == Kind::kNumber;
  std::string text = std::to_string(static_cast<int>(expression.kind)) + ":" +
                     (number ? "" : expression.text) + expression.number.ToString() + "(";
  for (const std::string& part : parts) text += part + ",";
  return text + ")";
}

std::optional<Claim> ReadClaim(const Expression& relation) {
  const Expression e = WithoutApproximations(relation);
  if (e.children.size() == 1) return Claim{{}, e.children[0]};
  if (e.text.find_first_not_of('=') == std::string::npos) return ReadEquation(e);
  if (e.text == "i") {
    std::string name = NameOf(e.children[0]);
    if (name.empty()) return std::nullopt;
    return Claim{std::move(name), e.children[1]};
  }
  if (e.text.size() == 1) return ReadBound(e);
  return e.text.size() == 2 ? ReadBetween(e) : std::nullopt;
}

Expression Expanded(const Expression& expression, Budget& budget) {
  if (expression.kind == Kind::kSymbol && expression.text == "\\mathbb{R}") {
    return Interval(Infinity(true), Infinity(false), false, false);
  }
  if (expression.kind == Kind::kProduct || expression.kind == Kind::kNegate) {
    Expression scaled = ScaledMatrix(expression, budget);
    if (scaled.kind == Kind::kMatrix) return scaled;
  }
  const bool collection = expression.kind == Kind::kList || expression.kind == Kind::kSet ||
                          expression.kind == Kind::kSetMinus;
  if (collection ||
      !Any(expression, [](const Expression& e) { return e.kind == Kind::kPlusMinus; })) {
    return expression;  // the elements of a collection are expanded one by one
  }
  return Binary(Kind::kList, WithSign(expression, true), WithSign(expression, false));
}

}  // namespace lorikeet::math
