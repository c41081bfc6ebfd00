// `ExpressionParser` parses expressions with Jinja's precedences. From loose to tight: if-else, or,
// and, not, comparisons, + -, ~, * / // %, **, unary, then attributes, calls, filters and tests.
#pragma once
#include <string_view>

#include "chat/jinja/ast.h"
#include "chat/jinja/token_stream.h"

namespace lorikeet::jinja {

class ExpressionParser {
 public:
  static constexpr int kMaxDepth = 200;

  explicit ExpressionParser(TokenStream& tokens) : tokens_(tokens) {}

  ExprPtr Expression(bool with_condition = true);
  // Like Expression, but `a, b` is a tuple. `end_name` ends it (the "in" or "recursive" of a for).
  ExprPtr Tuple(bool with_condition = true, std::string_view end_name = {},
                bool parenthesised = false);
  ExprPtr FilterChain(ExprPtr operand, bool start_inline);  // | f(...) | g ...
  Target AssignTarget(bool with_namespace, std::string_view end_name = {});

  // Counts nesting while in scope; Error beyond kMaxDepth.
  class Nested {
   public:
    explicit Nested(ExpressionParser& parser);
    ~Nested() { --parser_.nesting_; }
    Nested(const Nested&) = delete;
    Nested& operator=(const Nested&) = delete;

   private:
    ExpressionParser& parser_;
  };

 private:
  ExprPtr Make(ExprKind kind, int line) const;
  ExprPtr Finish(ExprPtr node) const;  // sets and bounds the depth
  ExprPtr Constant(Value value, int line) const;
  ExprPtr Binary(ExprKind kind, std::string op, ExprPtr left, ExprPtr right, int line) const;
  ExprPtr Or();
  ExprPtr And();
  ExprPtr Not();
  ExprPtr Comparison();
  ExprPtr Sum();
  ExprPtr Concat();
  ExprPtr Product();
  ExprPtr Power();
  ExprPtr Unary(bool with_filter);
  ExprPtr Primary();
  ExprPtr ListLiteral();
  ExprPtr DictLiteral();
  ExprPtr Postfix(ExprPtr node);
  ExprPtr Subscript(ExprPtr node);
  ExprPtr Filters(ExprPtr node);
  ExprPtr Test(ExprPtr node);
  ExprPtr Call(ExprPtr node);
  void Arguments(Expr& node);
  Target OneTarget(bool with_namespace);

  TokenStream& tokens_;
  int nesting_ = 0;
};

}  // namespace lorikeet::jinja
