// Patterns that split runs of digits into groups of three from the right. As regular expressions
// they look ahead to the end of the run at each of its digits, which takes time quadratic in its
// length; these functions find the same matches in one pass (digit_groups_test).
#pragma once
#include <string_view>

#include "tokenizer/normalizer.h"

namespace lorikeet {

extern const char kDigitGroupStarts[];  // (?=(\d{3})+(?!\d)), of superbpe
extern const char kDigitGroups[];       // \d{1,3}(?=(?:\d{3})*\b), of tiny_aya and cohere2moe

// The function that finds the matches of one of the two patterns; empty for others.
FindMatches DigitGroupsOf(std::string_view pattern);

}  // namespace lorikeet
