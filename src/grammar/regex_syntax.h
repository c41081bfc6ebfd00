// `RegexNode` is the syntax tree of a regular expression of ECMA-262 with the flag u.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lorikeet {

// Ranges of code points, first and last; sorted and apart after Normalize.
using CodePoints = std::vector<std::pair<uint32_t, uint32_t>>;

struct RegexNode {
  enum class Kind : uint8_t { kSet, kSequence, kChoice, kRepeat, kBegin, kEnd };

  Kind kind = Kind::kSequence;
  CodePoints set{};                // kSet: one character of these
  std::vector<RegexNode> parts{};  // kSequence, kChoice; the one part of kRepeat
  size_t min = 0, max = 0;         // kRepeat; max SIZE_MAX for no limit
};

// Throws as PatternTexts does (grammar/pattern.h).
RegexNode ParseRegex(std::string_view pattern, const std::string& where);

}  // namespace lorikeet
