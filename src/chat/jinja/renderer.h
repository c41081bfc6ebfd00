// A `Renderer` evaluates the AST of a template. One Renderer per rendering; the template is shared
// and constant.
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "chat/jinja/parser.h"
#include "chat/jinja/value.h"

namespace lorikeet::jinja {

// [begin, end) in bytes of the text.
struct TextSpan {
  size_t begin = 0;
  size_t end = 0;
};

struct Rendered {
  std::string text;
  std::vector<TextSpan> generation;  // contents of {% generation %} blocks, in order
};

class Renderer {
 public:
  // `context`: initial variables of the template. Both must outlive the renderer.
  // `now`: the time for strftime_now, "YYYY-MM-DD", optionally followed by " HH:MM:SS"; empty = the
  // clock.
  Renderer(const Template& source, const Dict& context, std::string now,
           int64_t max_steps = Budget::kMaxSteps);

  // Throws Error whose message begins with "line N: ".
  Rendered Run();

 private:
  // Variables of one block. Owned by the C++ frame that executes the block, unless a macro defined
  // inside still reads it.
  struct Scope {
    Scope* parent = nullptr;
    bool captured = false;
    std::vector<std::pair<std::string, Value>> variables;

    Value* Find(std::string_view name);
    void Set(const std::string& name, Value value);
  };
  // Opens a scope inside the current one for its lifetime.
  class ScopeGuard;
  // Sends output to a fresh text while it lives.
  class Capture;
  class DepthGuard;

  enum class Flow : uint8_t { kNormal, kBreak, kContinue };

  // Statements (jinja_renderer.cc).
  Flow ExecuteBlock(const Block& block);
  Flow Execute(const Stmt& stmt);
  Flow ExecuteCaptured(const Stmt& stmt);
  Flow ExecuteIf(const Stmt& stmt);
  void ExecuteFor(const Stmt& stmt);
  std::vector<Value> LoopItems(const Stmt& stmt);
  Flow ExecuteWith(const Stmt& stmt);
  void ExecuteCall(const Stmt& stmt);
  void ExecuteGeneration(const Stmt& stmt);
  void Output(const Value& value);
  void Emit(std::string_view text);
  void Assign(const Target& target, const Value& value);
  Value MakeMacro(const Stmt& stmt, const std::string& name);
  Value CallMacro(const Stmt& stmt, const std::string& name, Scope* home, CallArguments& arguments);
  void BindParameters(const Stmt& stmt, const std::string& name, CallArguments& arguments);
  std::unique_ptr<Scope> OpenScope(Scope* parent);
  void CloseScope(std::unique_ptr<Scope> scope);

  // Expressions (jinja_evaluator.cc).
  Value Evaluate(const Expr& expr);
  Value EvaluateNode(const Expr& expr);
  Value Lookup(const std::string& name);
  Value EvaluateItems(const Expr& expr, ListKind kind);
  Value EvaluateDict(const Expr& expr);
  Value EvaluateComparison(const Expr& expr);
  Value EvaluateConcat(const Expr& expr);
  Value EvaluateSlice(const Expr& expr);
  Value EvaluateIf(const Expr& expr);
  Value EvaluateFilter(const Expr& expr, const Value& operand);
  Value Filtered(const Expr* chain, Value input);
  CallArguments Arguments(const Expr& expr);
  Value CallValue(const Value& callee, CallArguments& arguments);

  // Built-in functions (jinja_functions.cc).
  Value Global(const std::string& name);
  Value MakeNamespace(const CallArguments& call);
  Value MakeDictFrom(const CallArguments& call, const char* what);
  Value StrftimeNow(const CallArguments& call) const;

  static constexpr int kMaxDepth = 600;

  const Template& source_;
  const Dict& context_;
  std::string now_;
  Budget budget_;
  int line_ = 1;
  int depth_ = 0;
  Scope* scope_ = nullptr;
  Rendered* out_ = nullptr;
  // The last text a macro returned and its spans, so that printing it at once keeps them.
  Value returned_;
  std::vector<TextSpan> returned_spans_;
  std::vector<std::unique_ptr<Scope>> kept_scopes_;
  std::vector<std::unique_ptr<Namespace>> namespaces_;
};

}  // namespace lorikeet::jinja
