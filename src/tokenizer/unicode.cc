#include "tokenizer/unicode.h"

#include <utf8proc.h>

#include <utility>

#include "tokenizer/unicode_newer.h"

namespace lorikeet {
namespace {

constexpr uint32_t kCodePoints = 0x110000;

std::vector<uint8_t> BuildClasses() {
  std::vector<uint8_t> table(kCodePoints, kOther);
  for (uint32_t c = 0; c < kCodePoints; ++c) {
    const utf8proc_category_t category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
    if (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO) table[c] = kLetter;
    if (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO) table[c] = kNumber;
    if (IsWhiteSpace(c)) table[c] = kSpace;
  }
  for (const auto& [category, char_class] : {std::pair('L', kLetter), std::pair('N', kNumber)}) {
    for (const CodeRange& range : NewerCodePoints(category)) {
      for (uint32_t c = range.first; c <= range.last; ++c) table[c] = char_class;
    }
  }
  return table;
}

utf8proc_category_t Category(uint32_t code) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(code));
}

// Alphabetic beyond L, M, Nl: the enclosed letters. Fixed since Unicode 6.
bool IsEnclosedLetter(uint32_t c) {
  return (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) ||
         (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189);
}

}  // namespace

const uint8_t* CharClassTable() {
  static const std::vector<uint8_t> table = BuildClasses();
  return table.data();
}

bool IsWhiteSpace(uint32_t c) {
  return (c >= 9 && c <= 13) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

bool IsNumeric(uint32_t code) { return CharClassTable()[code] == kNumber; }

bool IsPunctuation(uint32_t c) {
  if (c < 0x80) return c > 0x20 && c < 0x7F && CharClassTable()[c] == kOther;
  const utf8proc_category_t category = Category(c);
  return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO;
}

bool IsWordChar(uint32_t c) {
  const utf8proc_category_t category = Category(c);
  return (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NL) ||
         category == UTF8PROC_CATEGORY_PC || IsEnclosedLetter(c) || c == 0x200C || c == 0x200D;
}

}  // namespace lorikeet
