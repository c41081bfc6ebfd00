// Properties of code points for pre-tokenizers: letters and numbers as in Unicode 16, all others as
// in the linked utf8proc.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace lorikeet {

// Half-open range of bytes.
struct Span {
  uint32_t begin = 0, end = 0;
  friend bool operator==(const Span&, const Span&) = default;
};

enum CharClass : uint8_t { kOther, kLetter, kNumber, kSpace };  // \p{L}, \p{N}, \s, and the rest

// Classes of all code points; one byte each, built at the first use.
const uint8_t* CharClassTable();

bool IsWhiteSpace(uint32_t code);   // Unicode White_Space
bool IsNumeric(uint32_t code);      // categories Nd, Nl, No
bool IsPunctuation(uint32_t code);  // categories P*, and all ASCII punctuation
bool IsWordChar(uint32_t code);     // Alphabetic, M, Nd, Pc, Join_Control: \w of UTS 18

}  // namespace lorikeet
