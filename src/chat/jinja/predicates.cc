// The tests of Jinja: value is name(...).
#include <algorithm>

#include "chat/jinja/arguments.h"
#include "chat/jinja/filters.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/text.h"
#include "core/error.h"

namespace lorikeet::jinja {
namespace {

using Predicate = bool (*)(const Value& value);

bool IsSequenceLike(const Value& v) {
  return v.Is(Kind::kUndefined) || v.Is(Kind::kString) || v.Is(Kind::kDict) ||
         (v.Is(Kind::kList) && v.AsList().kind <= ListKind::kRange);
}
bool IsIterable(const Value& v) {
  return v.Is(Kind::kUndefined) || v.Is(Kind::kString) || v.Is(Kind::kDict) || v.Is(Kind::kList) ||
         v.Is(Kind::kLoop);
}

struct NamedPredicate {
  std::string_view name;
  Predicate holds;
};
constexpr NamedPredicate kPredicates[] = {
    {"defined", [](const Value& v) { return !v.Is(Kind::kUndefined); }},
    {"undefined", [](const Value& v) { return v.Is(Kind::kUndefined); }},
    {"none", [](const Value& v) { return v.Is(Kind::kNone); }},
    {"boolean", [](const Value& v) { return v.Is(Kind::kBool); }},
    {"true", [](const Value& v) { return v.Is(Kind::kBool) && v.AsBool(); }},
    {"false", [](const Value& v) { return v.Is(Kind::kBool) && !v.AsBool(); }},
    {"integer", [](const Value& v) { return v.Is(Kind::kInt); }},
    {"float", [](const Value& v) { return v.Is(Kind::kFloat); }},
    {"number", [](const Value& v) { return v.IsNumber(); }},
    {"string", [](const Value& v) { return v.Is(Kind::kString); }},
    {"mapping", [](const Value& v) { return v.Is(Kind::kDict); }},
    {"sequence", IsSequenceLike},
    {"iterable", IsIterable},
    {"callable", [](const Value& v) { return v.Is(Kind::kCallable); }},
    {"escaped", [](const Value& v) { return v.IsMarkup(); }},
};

struct ComparisonName {
  std::string_view name;
  std::string_view op;
};
constexpr ComparisonName kComparisons[] = {
    {"==", "=="}, {"eq", "=="}, {"equalto", "=="},    {"!=", "!="}, {"ne", "!="},
    {">", ">"},   {"gt", ">"},  {"greaterthan", ">"}, {">=", ">="}, {"ge", ">="},
    {"<", "<"},   {"lt", "<"},  {"lessthan", "<"},    {"<=", "<="}, {"le", "<="}};

constexpr std::string_view kOthers[] = {"odd",   "even",  "divisibleby", "in",  "sameas",
                                        "lower", "upper", "filter",      "test"};

bool Compared(std::string_view op, const Value& a, const Value& b, Budget& budget) {
  if (op == "==") return Equal(a, b, budget);
  if (op == "!=") return !Equal(a, b, budget);
  const int order = Compare(a, b, op.data(), budget);
  if (op == ">") return order > 0;
  if (op == ">=") return order >= 0;
  return op == "<" ? order < 0 : order <= 0;
}

bool Remainder(const Value& value, int64_t divisor, int64_t expected, Budget& budget) {
  return Equal(BinaryOperator("%", value, Value::Int(divisor), budget), Value::Int(expected),
               budget);
}

}  // namespace

bool ApplyTest(const std::string& name, const Value& operand, const CallArguments& call,
               Budget& budget) {
  for (const NamedPredicate& predicate : kPredicates) {
    if (predicate.name != name) continue;
    const BoundArguments none(name, call, {});
    return predicate.holds(operand);
  }
  for (const ComparisonName& comparison : kComparisons) {
    if (comparison.name != name) continue;
    const BoundArguments args(name, call, {"other"}, 1);
    return Compared(comparison.op, operand, args[0], budget);
  }
  if (name == "odd" || name == "even") {
    const BoundArguments none(name, call, {});
    return Remainder(operand, 2, name == "odd" ? 1 : 0, budget);
  }
  if (name == "divisibleby" || name == "in" || name == "sameas") {
    const BoundArguments args(name, call,
                              {name == "divisibleby" ? "num"
                               : name == "in"        ? "seq"
                                                     : "other"},
                              1);
    if (name == "divisibleby") return Remainder(operand, args.IntOr(0, 1), 0, budget);
    return name == "in" ? Contains(args[0], operand, budget) : operand.SameObject(args[0]);
  }
  if (name == "lower" || name == "upper") return IsClass(Str(operand, budget), name);
  if (name == "filter") return operand.Is(Kind::kString) && IsFilter(operand.Text());
  if (name == "test") return operand.Is(Kind::kString) && IsTest(operand.Text());
  Fail(ErrorCode::kUnsupported, "the test 'is {}' is not supported", name);
}

bool IsTest(const std::string& name) {
  auto named = [&](const auto& entry) { return entry.name == name; };
  return std::any_of(std::begin(kPredicates), std::end(kPredicates), named) ||
         std::any_of(std::begin(kComparisons), std::end(kComparisons), named) ||
         std::find(std::begin(kOthers), std::end(kOthers), name) != std::end(kOthers);
}

}  // namespace lorikeet::jinja
