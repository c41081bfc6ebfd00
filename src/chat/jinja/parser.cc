#include "chat/jinja/parser.h"

#include <initializer_list>
#include <optional>

#include "chat/jinja/expression_parser.h"
#include "chat/jinja/token_stream.h"
#include "core/error.h"

namespace lorikeet::jinja {
namespace {

class Parser {
 public:
  explicit Parser(std::string_view source) : tokens_(Tokenize(source)), expressions_(tokens_) {}

  Template Run() {
    Template result;
    result.body = Statements({});
    result.has_generation = has_generation_;
    return result;
  }

 private:
  using EndNames = std::initializer_list<std::string_view>;

  // Statements up to a tag of `ends`, whose name is the current token afterwards; without `ends` to
  // the end.
  Block Statements(EndNames ends) {
    const ExpressionParser::Nested nested(expressions_);
    Block block;
    while (true) {
      const Token& token = tokens_.Peek();
      if (token.type == TokenType::kEnd) {
        if (ends.size() > 0) tokens_.Bad(fmt::format("expected {{% {} %}}", *(ends.end() - 1)));
        return block;
      }
      if (token.type == TokenType::kData) {
        block.push_back(MakeStmt(StmtKind::kText));
        block.back().text = tokens_.Next().text;
      } else if (token.type == TokenType::kVariableBegin) {
        block.push_back(MakeStmt(StmtKind::kOutput));
        tokens_.Next();
        block.back().expression = expressions_.Tuple();
        tokens_.Expect(TokenType::kVariableEnd, "'}}'");
      } else {
        tokens_.Expect(TokenType::kBlockBegin, "'{%'");
        for (std::string_view end : ends) {
          if (tokens_.IsName(end)) return block;
        }
        Statement(block);
        EndTag();
      }
    }
  }

  // The body of a tag, from its '%}' to the end tag, which is consumed except for its '%}'.
  Block Body(std::string_view end) {
    Block block = BodyUntil({end});
    tokens_.Next();
    return block;
  }
  Block BodyUntil(EndNames ends) {
    tokens_.SkipOp(":");
    EndTag();
    return Statements(ends);
  }
  void EndTag() { tokens_.Expect(TokenType::kBlockEnd, "'%}'"); }

  Stmt MakeStmt(StmtKind kind) const {
    Stmt stmt;
    stmt.kind = kind;
    stmt.line = tokens_.Peek().line;
    return stmt;
  }

  void Statement(Block& block) {
    const std::string name = tokens_.Peek().text;
    if (tokens_.Peek().type != TokenType::kName) tokens_.Bad("expected the name of a tag");
    if (name == "if") return block.push_back(If());
    if (name == "for") return block.push_back(For());
    if (name == "set") return block.push_back(Set());
    if (name == "macro") return block.push_back(Macro());
    if (name == "call") return block.push_back(CallBlock());
    if (name == "filter") return block.push_back(FilterBlock());
    if (name == "with") return block.push_back(With());
    if (name == "generation") return block.push_back(Generation());
    if (name == "print") return Print(block);
    if (name == "break" || name == "continue") return block.push_back(LoopControl(name));
    for (std::string_view known :
         {"block", "extends", "include", "import", "from", "autoescape", "do"}) {
      if (name == known) {
        Fail(ErrorCode::kUnsupported, "line {}: the tag {{% {} %}} is not supported",
             tokens_.Peek().line, name);
      }
    }
    tokens_.Bad("unknown or misplaced tag");
  }

  Stmt If() {
    Stmt stmt = MakeStmt(StmtKind::kIf);
    tokens_.Next();
    stmt.expression = expressions_.Tuple(false);
    stmt.body = BodyUntil({"elif", "else", "endif"});
    while (tokens_.SkipName("elif")) {
      ExprPtr condition = expressions_.Tuple(false);
      stmt.branches.emplace_back(std::move(condition), BodyUntil({"elif", "else", "endif"}));
    }
    if (tokens_.SkipName("else")) {
      stmt.otherwise = Body("endif");
    } else {
      tokens_.Next();
    }
    return stmt;
  }

  Stmt For() {
    Stmt stmt = MakeStmt(StmtKind::kFor);
    tokens_.Next();
    stmt.target = expressions_.AssignTarget(false, "in");
    tokens_.ExpectName("in");
    if (stmt.target.name == "loop") tokens_.Bad("cannot assign to the special variable 'loop'");
    stmt.expression = expressions_.Tuple(false, "recursive");
    if (tokens_.SkipName("if")) stmt.condition = expressions_.Expression();
    if (tokens_.IsName("recursive")) {
      Fail(ErrorCode::kUnsupported, "line {}: recursive loops are not supported", stmt.line);
    }
    const int outer = std::exchange(loops_, 1);
    stmt.body = BodyUntil({"endfor", "else"});
    loops_ = outer;
    if (tokens_.SkipName("else")) {
      stmt.otherwise = Body("endfor");
    } else {
      tokens_.Next();
    }
    return stmt;
  }

  Stmt Set() {
    Stmt stmt = MakeStmt(StmtKind::kSet);
    tokens_.Next();
    stmt.target = expressions_.AssignTarget(true);
    if (tokens_.SkipOp("=")) {
      stmt.expression = expressions_.Tuple();
      return stmt;
    }
    stmt.kind = StmtKind::kSetBlock;
    stmt.expression = expressions_.FilterChain(nullptr, false);
    stmt.body = BodyOutsideLoop("endset");
    return stmt;
  }

  // A body that Jinja compiles to a separate function: break and continue cannot leave it.
  Block BodyOutsideLoop(std::string_view end) {
    const int outer = std::exchange(loops_, 0);
    Block block = Body(end);
    loops_ = outer;
    return block;
  }

  void Signature(Stmt& stmt) {
    tokens_.ExpectOp("(");
    while (!tokens_.IsOp(")")) {
      Parameter parameter;
      parameter.name = tokens_.TakeName("the name of a parameter");
      if (tokens_.SkipOp("=")) {
        parameter.fallback = expressions_.Expression();
      } else if (!stmt.parameters.empty() && stmt.parameters.back().fallback) {
        tokens_.Bad("a parameter without a default follows one with a default");
      }
      stmt.parameters.push_back(std::move(parameter));
      if (!tokens_.SkipOp(",")) break;
    }
    tokens_.ExpectOp(")");
  }

  Stmt Macro() {
    Stmt stmt = MakeStmt(StmtKind::kMacro);
    tokens_.Next();
    stmt.text = tokens_.TakeName("the name of a macro");
    Signature(stmt);
    stmt.body = BodyOutsideLoop("endmacro");
    return stmt;
  }

  Stmt CallBlock() {
    Stmt stmt = MakeStmt(StmtKind::kCall);
    tokens_.Next();
    if (tokens_.IsOp("(")) Signature(stmt);
    stmt.expression = expressions_.Expression();
    if (stmt.expression->kind != ExprKind::kCall) tokens_.Bad("expected a call after {% call");
    stmt.body = BodyOutsideLoop("endcall");
    return stmt;
  }

  Stmt FilterBlock() {
    Stmt stmt = MakeStmt(StmtKind::kFilter);
    tokens_.Next();
    stmt.expression = expressions_.FilterChain(nullptr, true);
    stmt.body = Body("endfilter");
    return stmt;
  }

  Stmt With() {
    Stmt stmt = MakeStmt(StmtKind::kWith);
    tokens_.Next();
    while (tokens_.Peek().type != TokenType::kBlockEnd) {
      if (!stmt.bindings.empty()) tokens_.ExpectOp(",");
      Target target = expressions_.AssignTarget(false);
      tokens_.ExpectOp("=");
      stmt.bindings.emplace_back(std::move(target), expressions_.Expression());
    }
    stmt.body = Body("endwith");
    return stmt;
  }

  Stmt Generation() {
    Stmt stmt = MakeStmt(StmtKind::kGeneration);
    tokens_.Next();
    stmt.body = BodyOutsideLoop("endgeneration");
    has_generation_ = true;
    return stmt;
  }

  void Print(Block& block) {
    tokens_.Next();
    bool first = true;
    while (tokens_.Peek().type != TokenType::kBlockEnd) {
      if (!first) tokens_.ExpectOp(",");
      first = false;
      block.push_back(MakeStmt(StmtKind::kOutput));
      block.back().expression = expressions_.Expression();
    }
  }

  Stmt LoopControl(const std::string& name) {
    if (loops_ == 0) tokens_.Bad("this tag must stand inside a loop");
    Stmt stmt = MakeStmt(name == "break" ? StmtKind::kBreak : StmtKind::kContinue);
    tokens_.Next();
    return stmt;
  }

  TokenStream tokens_;
  ExpressionParser expressions_;
  int loops_ = 0;  // 1 inside the body of a loop
  bool has_generation_ = false;
};

}  // namespace

Template Parse(std::string_view source) { return Parser(source).Run(); }

}  // namespace lorikeet::jinja
