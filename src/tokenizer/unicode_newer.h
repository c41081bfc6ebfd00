// Differences of the Unicode tables of the `tokenizers` package from those of PCRE2 and utf8proc.
#pragma once
#include <cstdint>
#include <span>

namespace lorikeet {

struct CodeRange {
  uint32_t first, last;
};

// Code points that Unicode 15, 15.1 and 16 added, by general category: PCRE2 10.42 and utf8proc 2.8
// do not have (all of) them, the regular expressions of `tokenizers` do. For 'L', 'N', 'M', 'P' and
// 'S'; empty for others.
std::span<const CodeRange> NewerCodePoints(char category);

// Marks and characters that the normal forms in `tokenizers` (tables of Unicode 10) do not change,
// though later versions of Unicode reorder or decompose them.
bool IsUnknownToNormalForms(uint32_t code);

}  // namespace lorikeet
