#include "chat/jinja/renderer.h"

#include <algorithm>

#include "chat/jinja/scopes.h"
#include "core/error.h"

namespace lorikeet::jinja {

Value* Renderer::Scope::Find(std::string_view name) {
  for (auto& [key, value] : variables) {
    if (key == name) return &value;
  }
  return nullptr;
}

void Renderer::Scope::Set(const std::string& name, Value value) {
  if (Value* old = Find(name)) {
    *old = std::move(value);
  } else {
    variables.emplace_back(name, std::move(value));
  }
}

Renderer::Renderer(const Template& source, const Dict& context, std::string now, int64_t max_steps)
    : source_(source), context_(context), now_(std::move(now)), budget_(max_steps) {}

Rendered Renderer::Run() {
  Rendered result;
  out_ = &result;
  try {
    const ScopeGuard root(*this, nullptr);
    ExecuteBlock(source_.body);
  } catch (const Error& e) {
    Fail(e.code(), "line {}: {}", line_, e.what());
  }
  return result;
}

std::unique_ptr<Renderer::Scope> Renderer::OpenScope(Scope* parent) {
  auto scope = std::make_unique<Scope>();
  scope->parent = parent;
  return scope;
}

void Renderer::CloseScope(std::unique_ptr<Scope> scope) {
  if (scope->captured) kept_scopes_.push_back(std::move(scope));
}

Renderer::Flow Renderer::ExecuteBlock(const Block& block) {
  const DepthGuard depth(*this);
  for (const Stmt& stmt : block) {
    const Flow flow = Execute(stmt);
    if (flow != Flow::kNormal) return flow;
  }
  return Flow::kNormal;
}

Renderer::Flow Renderer::Execute(const Stmt& stmt) {
  line_ = stmt.line;
  budget_.Charge(1);
  switch (stmt.kind) {
    case StmtKind::kText:
      Emit(stmt.text);
      break;
    case StmtKind::kOutput:
      Output(Evaluate(*stmt.expression));
      break;
    case StmtKind::kIf:
      return ExecuteIf(stmt);
    case StmtKind::kFor:
      ExecuteFor(stmt);
      break;
    case StmtKind::kSet:
      Assign(stmt.target, Evaluate(*stmt.expression));
      break;
    case StmtKind::kSetBlock:
    case StmtKind::kFilter:
      return ExecuteCaptured(stmt);
    case StmtKind::kMacro:
      scope_->Set(stmt.text, MakeMacro(stmt, stmt.text));
      break;
    case StmtKind::kCall:
      ExecuteCall(stmt);
      break;
    case StmtKind::kWith:
      return ExecuteWith(stmt);
    case StmtKind::kGeneration:
      ExecuteGeneration(stmt);
      break;
    case StmtKind::kBreak:
      return Flow::kBreak;
    case StmtKind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNormal;
}

// {% set x %}...{% endset %} and {% filter f %}...{% endfilter %}.
Renderer::Flow Renderer::ExecuteCaptured(const Stmt& stmt) {
  Flow flow = Flow::kNormal;
  std::string text;
  {
    Capture capture(*this);
    const ScopeGuard scope(*this, scope_);
    flow = ExecuteBlock(stmt.body);
    text = capture.Take().text;
  }
  const Value value = Filtered(stmt.expression.get(), Value::String(std::move(text)));
  if (stmt.kind == StmtKind::kSetBlock) {
    Assign(stmt.target, value);
  } else {
    Output(value);
  }
  return flow;
}

Renderer::Flow Renderer::ExecuteIf(const Stmt& stmt) {
  if (Truthy(Evaluate(*stmt.expression))) return ExecuteBlock(stmt.body);
  for (const auto& [condition, body] : stmt.branches) {
    if (Truthy(Evaluate(*condition))) return ExecuteBlock(body);
  }
  return ExecuteBlock(stmt.otherwise);
}

std::vector<Value> Renderer::LoopItems(const Stmt& stmt) {
  std::vector<Value> items = Iterate(Evaluate(*stmt.expression), budget_);
  if (!stmt.condition) return items;
  std::vector<Value> kept;
  for (Value& item : items) {
    const ScopeGuard scope(*this, scope_);
    Assign(stmt.target, item);
    if (Truthy(Evaluate(*stmt.condition))) kept.push_back(std::move(item));
  }
  return kept;
}

void Renderer::ExecuteFor(const Stmt& stmt) {
  auto loop = std::make_shared<LoopState>();
  loop->items = Value::MakeList(LoopItems(stmt));
  const Value loop_value = Value::Of(loop);
  const std::vector<Value>& items = loop->items.AsList().items;
  for (; loop->index < items.size(); ++loop->index) {
    budget_.Charge(4);  // a scope and two variables
    const ScopeGuard scope(*this, scope_);
    Assign(stmt.target, items[loop->index]);
    scope_->Set("loop", loop_value);
    if (ExecuteBlock(stmt.body) == Flow::kBreak) break;
  }
  loop->last_changed = Value::None();  // it may hold the loop itself
  if (items.empty()) {
    const ScopeGuard scope(*this, scope_);
    ExecuteBlock(stmt.otherwise);
  }
}

Renderer::Flow Renderer::ExecuteWith(const Stmt& stmt) {
  std::vector<Value> values;
  for (const auto& [target, expression] : stmt.bindings) values.push_back(Evaluate(*expression));
  const ScopeGuard scope(*this, scope_);
  for (size_t i = 0; i < values.size(); ++i) Assign(stmt.bindings[i].first, values[i]);
  return ExecuteBlock(stmt.body);
}

void Renderer::ExecuteCall(const Stmt& stmt) {
  const Expr& call = *stmt.expression;
  const Value callee = Evaluate(*call.children[0]);
  CallArguments arguments = Arguments(call);
  arguments.named.emplace_back("caller", MakeMacro(stmt, "caller"));
  Output(CallValue(callee, arguments));
}

// A scope of its own, as in Jinja: variables set in it are not visible after it.
void Renderer::ExecuteGeneration(const Stmt& stmt) {
  const size_t begin = out_->text.size();
  {
    const ScopeGuard scope(*this, scope_);
    ExecuteBlock(stmt.body);
  }
  out_->generation.push_back({begin, out_->text.size()});
}

void Renderer::Emit(std::string_view text) {
  budget_.ChargeBytes(text.size());
  out_->text += text;
  if (out_->text.size() > Budget::kMaxString) budget_.ChargeBytes(out_->text.size());
}

void Renderer::Output(const Value& value) {
  const size_t begin = out_->text.size();
  if (!value.Is(Kind::kString)) return Emit(Str(value, budget_));
  Emit(value.Text());
  if (!returned_.Is(Kind::kString) || &returned_.Text() != &value.Text()) return;
  for (const TextSpan& span : returned_spans_) {
    out_->generation.push_back({begin + span.begin, begin + span.end});
  }
}

void Renderer::Assign(const Target& target, const Value& value) {
  if (target.tuple) {
    const std::vector<Value> items = Iterate(value, budget_);
    if (items.size() != target.items.size()) {
      Fail(ErrorCode::kInvalidArgument, "cannot unpack {} values into {} names", items.size(),
           target.items.size());
    }
    for (size_t i = 0; i < items.size(); ++i) Assign(target.items[i], items[i]);
    return;
  }
  if (target.attribute.empty()) return scope_->Set(target.name, value);
  const Value space = Lookup(target.name);
  if (!space.Is(Kind::kNamespace)) {
    Fail(ErrorCode::kInvalidArgument, "cannot assign to '{}.{}': '{}' is not a namespace",
         target.name, target.attribute, target.name);
  }
  if (target.attribute.starts_with('_')) {
    Fail(ErrorCode::kInvalidArgument, "a namespace cannot store '{}': it begins with an underscore",
         target.attribute);
  }
  space.AsNamespace().values.Set(Value::String(target.attribute), value, budget_);
}

Value Renderer::MakeMacro(const Stmt& stmt, const std::string& name) {
  Scope* home = scope_;
  for (Scope* scope = home; scope != nullptr; scope = scope->parent) scope->captured = true;
  return Value::Call(name, [this, &stmt, name, home](CallArguments& arguments) {
    return CallMacro(stmt, name, home, arguments);
  });
}

Value Renderer::CallMacro(const Stmt& stmt, const std::string& name, Scope* home,
                          CallArguments& arguments) {
  const int line = line_;
  Rendered result;
  {
    Capture capture(*this);
    const ScopeGuard scope(*this, home);
    BindParameters(stmt, name, arguments);
    ExecuteBlock(stmt.body);
    result = capture.Take();
  }
  line_ = line;
  returned_ = Value::String(std::move(result.text));
  returned_spans_ = std::move(result.generation);
  return returned_;
}

void Renderer::BindParameters(const Stmt& stmt, const std::string& name, CallArguments& arguments) {
  if (arguments.positional.size() > stmt.parameters.size()) {
    Fail(ErrorCode::kInvalidArgument, "macro '{}' takes not more than {} arguments", name,
         stmt.parameters.size());
  }
  std::vector<bool> used(arguments.named.size(), false);
  for (size_t i = 0; i < stmt.parameters.size(); ++i) {
    const Parameter& parameter = stmt.parameters[i];
    const bool positional = i < arguments.positional.size();
    if (positional) scope_->Set(parameter.name, arguments.positional[i]);
    bool given = positional;
    for (size_t k = 0; k < arguments.named.size(); ++k) {
      if (arguments.named[k].first != parameter.name) continue;
      if (given) {
        Fail(ErrorCode::kInvalidArgument, "macro '{}': '{}' is given twice", name, parameter.name);
      }
      scope_->Set(parameter.name, arguments.named[k].second);
      given = used[k] = true;
    }
    if (given) continue;
    scope_->Set(parameter.name, parameter.fallback
                                    ? Evaluate(*parameter.fallback)
                                    : Value::Undefined(fmt::format(
                                          "parameter '{}' was not provided", parameter.name)));
  }
  for (size_t k = 0; k < used.size(); ++k) {
    if (used[k]) continue;
    const auto& [key, value] = arguments.named[k];
    if (key != "caller") {
      Fail(ErrorCode::kInvalidArgument, "macro '{}' takes no argument '{}'", name, key);
    }
    scope_->Set(key, value);
  }
}

}  // namespace lorikeet::jinja
