// The lexer: template text to tokens, with Jinja's whitespace rules of trim_blocks and
// lstrip_blocks.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lorikeet::jinja {

enum class TokenType : uint8_t {
  kData,
  kVariableBegin,
  kVariableEnd,
  kBlockBegin,
  kBlockEnd,
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,
  kEnd,
};

struct Token {
  TokenType type = TokenType::kEnd;
  std::string text;  // a string: unescaped
  int line = 1;
  int64_t integer = 0;
  double real = 0;
};

// Throws Error whose message begins with "line N: ".
std::vector<Token> Tokenize(std::string_view source);

}  // namespace lorikeet::jinja
