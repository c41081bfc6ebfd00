// The vocabulary of answers: words, commands and signs.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace lorikeet::math {

// Signs outside ASCII (minus, fractions, roots, superscripts, Greek letters) as LaTeX or ASCII.
std::string ReplaceUnicode(std::string_view text);

// Meaning of a command \name.
enum class CommandClass : uint8_t {
  kUnknown,
  kIgnored,  // typesetting only: \displaystyle, \quad, \mathbf
  kText,     // its argument is words: \text, \mathrm
  kAccent,   // its argument is the rest of a name: \hat
  kLetter,   // spelled "\\name": \alpha, \infty
  kSymbol,   // spelled `spelling`: \cdot is "*"
  kCommand,  // spelled `spelling`: \dfrac is "frac"
};
struct CommandMeaning {
  CommandClass kind = CommandClass::kUnknown;
  std::string_view spelling;
};
CommandMeaning CommandNamed(std::string_view name);

// Meaning of a word outside a command; letters of either case.
CommandMeaning WordNamed(std::string_view word);

bool IsUnitWord(std::string_view word);      // "cm", "mph": short words that are not products
bool IsUnitLetter(std::string_view letter);  // "m", "s", ...
// Words after a number that say more than its unit: "5 is not", "3:40 pm".
bool IsRefusedWord(std::string_view word);
// "thousand" -> 3, "million" -> 6, ...: the power of ten; 0 for other words.
int PowerOfTenNamed(std::string_view word);
// "two" -> 2, ... "sixteen" -> 16: the base of a numeral; 0 for other words.
int BaseNamed(std::string_view word);

}  // namespace lorikeet::math
