// The expressions of a Renderer.
#include <algorithm>

#include "chat/jinja/filters.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/renderer.h"
#include "chat/jinja/scopes.h"
#include "core/error.h"

namespace lorikeet::jinja {

Value Renderer::Evaluate(const Expr& expr) {
  const DepthGuard depth(*this);
  budget_.Charge(1);
  line_ = expr.line;
  return EvaluateNode(expr);
}

Value Renderer::EvaluateNode(const Expr& expr) {
  switch (expr.kind) {
    case ExprKind::kConstant:
      return expr.constant;
    case ExprKind::kName:
      return Lookup(expr.name);
    case ExprKind::kList:
      return EvaluateItems(expr, ListKind::kList);
    case ExprKind::kTuple:
      return EvaluateItems(expr, ListKind::kTuple);
    case ExprKind::kDict:
      return EvaluateDict(expr);
    case ExprKind::kAttribute:
      return GetAttribute(Evaluate(*expr.children[0]), expr.name, budget_);
    case ExprKind::kItem: {
      const Value container = Evaluate(*expr.children[0]);
      return GetItem(container, Evaluate(*expr.children[1]), budget_);
    }
    case ExprKind::kSlice:
      return EvaluateSlice(expr);
    case ExprKind::kCall: {
      const Value callee = Evaluate(*expr.children[0]);
      CallArguments arguments = Arguments(expr);
      line_ = expr.line;
      return CallValue(callee, arguments);
    }
    case ExprKind::kFilter:
      return EvaluateFilter(expr, Evaluate(*expr.children[0]));
    case ExprKind::kTest: {
      const Value operand = Evaluate(*expr.children[0]);
      return Value::Bool(ApplyTest(expr.name, operand, Arguments(expr), budget_));
    }
    case ExprKind::kNot:
      return Value::Bool(!Truthy(Evaluate(*expr.children[0])));
    case ExprKind::kAnd:
    case ExprKind::kOr: {
      Value left = Evaluate(*expr.children[0]);
      if (Truthy(left) == (expr.kind == ExprKind::kOr)) return left;
      return Evaluate(*expr.children[1]);
    }
    case ExprKind::kIf:
      return EvaluateIf(expr);
    case ExprKind::kCompare:
      return EvaluateComparison(expr);
    case ExprKind::kBinary: {
      const Value left = Evaluate(*expr.children[0]);
      const Value right = Evaluate(*expr.children[1]);
      line_ = expr.line;
      return BinaryOperator(expr.name, left, right, budget_);
    }
    case ExprKind::kUnary:
      return UnaryOperator(expr.name, Evaluate(*expr.children[0]));
    case ExprKind::kConcat:
      return EvaluateConcat(expr);
  }
  return Value::None();
}

Value Renderer::Lookup(const std::string& name) {
  for (Scope* scope = scope_; scope != nullptr; scope = scope->parent) {
    if (const Value* found = scope->Find(name)) return *found;
  }
  if (const Value* found = context_.Find(name)) return *found;
  return Global(name);
}

Value Renderer::EvaluateItems(const Expr& expr, ListKind kind) {
  std::vector<Value> items;
  items.reserve(expr.children.size());
  for (const ExprPtr& child : expr.children) items.push_back(Evaluate(*child));
  return Value::MakeList(std::move(items), kind);
}

Value Renderer::EvaluateDict(const Expr& expr) {
  Dict dict;
  for (size_t i = 0; i + 1 < expr.children.size(); i += 2) {
    Value key = Evaluate(*expr.children[i]);
    dict.Set(std::move(key), Evaluate(*expr.children[i + 1]), budget_);
  }
  return Value::MakeDict(std::move(dict));
}

Value Renderer::EvaluateComparison(const Expr& expr) {
  Value left = Evaluate(*expr.children[0]);
  for (size_t i = 0; i < expr.operators.size(); ++i) {
    const std::string& op = expr.operators[i];
    Value right = Evaluate(*expr.children[i + 1]);
    bool holds = false;
    if (op == "==" || op == "!=") {
      holds = Equal(left, right, budget_) == (op == "==");
    } else if (op == "in" || op == "not in") {
      holds = Contains(right, left, budget_) == (op == "in");
    } else {
      const int order = Compare(left, right, op.c_str(), budget_);
      holds = op == "<" ? order < 0 : op == "<=" ? order <= 0 : op == ">" ? order > 0 : order >= 0;
    }
    if (!holds) return Value::Bool(false);
    left = std::move(right);
  }
  return Value::Bool(true);
}

Value Renderer::EvaluateConcat(const Expr& expr) {
  std::string text;
  for (const ExprPtr& child : expr.children) {
    text += Str(Evaluate(*child), budget_);
    if (text.size() > Budget::kMaxString) budget_.ChargeBytes(text.size());
  }
  return Value::String(std::move(text));
}

Value Renderer::EvaluateSlice(const Expr& expr) {
  const Value operand = Evaluate(*expr.children[0]);
  std::vector<Value> parts;
  for (size_t i = 1; i < 4; ++i) {
    parts.push_back(expr.children[i] ? Evaluate(*expr.children[i]) : Value::None());
  }
  return Slice(operand, parts[0], parts[1], parts[2], budget_);
}

Value Renderer::EvaluateIf(const Expr& expr) {
  if (Truthy(Evaluate(*expr.children[0]))) return Evaluate(*expr.children[1]);
  if (expr.children[2]) return Evaluate(*expr.children[2]);
  return Value::Undefined(
      "the inline if-expression evaluated to false and no else section was "
      "defined");
}

Value Renderer::EvaluateFilter(const Expr& expr, const Value& operand) {
  const CallArguments arguments = Arguments(expr);
  line_ = expr.line;
  return ApplyFilter(expr.name, operand, arguments, budget_);
}

// `input` through the filters of a {% filter %} or {% set x | f %} block; the innermost has no
// operand.
Value Renderer::Filtered(const Expr* chain, Value input) {
  if (chain == nullptr) return input;
  return EvaluateFilter(*chain, Filtered(chain->children[0].get(), std::move(input)));
}

CallArguments Renderer::Arguments(const Expr& expr) {
  CallArguments out;
  for (const ExprPtr& argument : expr.arguments) out.positional.push_back(Evaluate(*argument));
  if (expr.star) {
    for (Value& item : Iterate(Evaluate(*expr.star), budget_)) {
      out.positional.push_back(std::move(item));
    }
  }
  for (const auto& [name, argument] : expr.named) out.named.emplace_back(name, Evaluate(*argument));
  if (expr.double_star) {
    const Value extra = Evaluate(*expr.double_star);
    if (!extra.Is(Kind::kDict)) {
      Fail(ErrorCode::kInvalidArgument, "** needs a dict, not {}", extra.TypeName());
    }
    for (const auto& [name, value] : extra.AsDict().entries()) {
      if (!name.Is(Kind::kString)) Fail(ErrorCode::kInvalidArgument, "** needs strings as keys");
      out.named.emplace_back(name.Text(), value);
    }
  }
  return out;
}

Value Renderer::CallValue(const Value& callee, CallArguments& arguments) {
  if (callee.Is(Kind::kUndefined)) {
    Fail(ErrorCode::kInvalidArgument, "{}", callee.UndefinedMessage());
  }
  if (!callee.Is(Kind::kCallable)) {
    Fail(ErrorCode::kInvalidArgument, "a {} cannot be called", callee.TypeName());
  }
  const DepthGuard depth(*this);
  return callee.AsCallable().call(arguments);
}

}  // namespace lorikeet::jinja
