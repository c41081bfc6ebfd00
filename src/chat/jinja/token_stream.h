// A `TokenStream` is the parser's cursor over the tokens.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "chat/jinja/lexer.h"
#include "core/error.h"

namespace lorikeet::jinja {

class TokenStream {
 public:
  explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& Peek(size_t ahead = 0) const {
    return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
  }
  const Token& Next() {
    const Token& token = Peek();
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  bool IsName(std::string_view name, size_t ahead = 0) const {
    return Peek(ahead).type == TokenType::kName && Peek(ahead).text == name;
  }
  bool IsOp(std::string_view op, size_t ahead = 0) const {
    return Peek(ahead).type == TokenType::kOperator && Peek(ahead).text == op;
  }
  bool SkipName(std::string_view name) { return IsName(name) && (Next(), true); }
  bool SkipOp(std::string_view op) { return IsOp(op) && (Next(), true); }
  void ExpectOp(std::string_view op) {
    if (!SkipOp(op)) Bad(fmt::format("expected '{}'", op));
  }
  void ExpectName(std::string_view name) {
    if (!SkipName(name)) Bad(fmt::format("expected '{}'", name));
  }
  void Expect(TokenType type, std::string_view what) {
    if (Peek().type != type) Bad(fmt::format("expected {}", what));
    Next();
  }
  std::string TakeName(std::string_view what) {
    if (Peek().type != TokenType::kName) Bad(fmt::format("expected {}", what));
    return Next().text;
  }
  // Error "line N: `problem`, found ..." at the current token.
  [[noreturn]] void Bad(const std::string& problem) const {
    Fail(ErrorCode::kCorruptFile, "line {}: {}, found {}", Peek().line, problem, Describe(Peek()));
  }
  static std::string Describe(const Token& token) {
    switch (token.type) {
      case TokenType::kEnd:
        return "the end of the template";
      case TokenType::kData:
        return "template text";
      case TokenType::kVariableBegin:
        return "'{{'";
      case TokenType::kVariableEnd:
        return "'}}'";
      case TokenType::kBlockBegin:
        return "'{%'";
      case TokenType::kBlockEnd:
        return "'%}'";
      default:
        return fmt::format("'{}'", token.text.substr(0, 60));
    }
  }

 private:
  std::vector<Token> tokens_;
  size_t at_ = 0;
};

}  // namespace lorikeet::jinja
