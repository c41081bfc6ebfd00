// A `TokenStream` is the parser's cursor over the tokens, from left to right.
#pragma once
#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.h"
#include "verify/math/lexer.h"

namespace lorikeet::math {

class TokenStream {
 public:
  explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  // The next token, or the one `ahead` positions after it; the last one is kEnd and stays.
  const Token& Now(size_t ahead = 0) const {
    return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
  }
  bool AfterNumber() const { return at_ > 0 && tokens_[at_ - 1].type == TokenType::kNumber; }
  bool Is(TokenType type, size_t ahead = 0) const { return Now(ahead).type == type; }
  bool Is(TokenType type, std::string_view text, size_t ahead = 0) const {
    return Is(type, ahead) && Now(ahead).text == text;
  }
  bool IsSymbol(std::string_view text, size_t ahead = 0) const {
    return Is(TokenType::kSymbol, text, ahead);
  }
  bool IsOneOf(std::initializer_list<std::string_view> symbols) const {
    return Is(TokenType::kSymbol) &&
           std::find(symbols.begin(), symbols.end(), Now().text) != symbols.end();
  }

  std::string Next() {
    std::string text = Now().text;
    Skip();
    return text;
  }
  void Skip(size_t count = 1) { at_ = std::min(at_ + count, tokens_.size() - 1); }
  bool Take(std::string_view symbol) {
    if (!IsSymbol(symbol)) return false;
    Skip();
    return true;
  }
  void Expect(std::string_view symbol) {
    if (!Take(symbol)) Refuse();
  }

  // Takes the first digit of the next number; the other digits stay as a number.
  int TakeDigit() {
    Token& token = tokens_[at_];
    const char digit = token.text.empty() ? '.' : token.text[0];
    if (digit < '0' || digit > '9') Refuse();
    token.text.erase(0, 1);
    if (token.text.empty()) Skip();
    return digit - '0';
  }

  [[noreturn]] void Refuse() const {
    if (Is(TokenType::kEnd)) {
      Fail(ErrorCode::kInvalidArgument, "an expression that ends too early");
    }
    Fail(ErrorCode::kInvalidArgument, "'{}' where it has no meaning", Now().text);
  }

 private:
  std::vector<Token> tokens_;
  size_t at_ = 0;
};

}  // namespace lorikeet::math
