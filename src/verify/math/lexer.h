// The lexer: the text of an answer, LaTeX or plain, to tokens. It drops typesetting (\left,
// \displaystyle, \, and dollar signs) and normalizes Unicode signs and the spellings of a command.
#pragma once
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace lorikeet::math {

enum class TokenType : uint8_t {
  kNumber,   // "1234.5", "3.", "1.5e-3": no separators of thousands
  kLetter,   // a variable: "x", "\\alpha", "\\hat{x}"
  kWord,     // "apples", and every word inside \text
  kCommand,  // "frac", "sqrt", "sin", "pi", "begin:pmatrix", ...
  kSymbol,   // + - * / ^ _ ( ) [ ] { } \{ \} , ; : = ! < > <= >= != | % ' & \\ +- -+ "deg"
  kEnd,
};

struct Token {
  TokenType type = TokenType::kEnd;
  std::string text;
  bool space_before = false;
};

// One reading of an ambiguous text.
struct Reading {
  // Variables of the other side: a run of letters each of which is one of these is their product,
  // any other run is a word. Null: runs of up to three letters are products.
  const std::set<std::string>* variables = nullptr;
  bool thousands = true;   // "1,234" is one number (outside brackets), not two
  bool scientific = true;  // "2e-1" is 0.2, not 2 e - 1
  bool repeating = true;   // the digits before an ellipsis that occur twice repeat: 0.1212...
  bool units = false;      // every run of letters is a word; "5 m" is 5 metres, not 5 m
};

// Throws Error(kInvalidArgument) at a character that no expression can contain.
std::vector<Token> Tokenize(std::string_view text, const Reading& reading);

// Whether Tokenize makes a command of a name: "sin", "log", "gcd", ...
bool IsFunctionName(std::string_view name);

}  // namespace lorikeet::math
