// Extraction of answers that are words, dates, numerals of another base, or lists of them. The
// rules are those of numbers (verify/number_answer.h).
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "verify/answer.h"

namespace lorikeet {

// An item of the requested kind in a text.
struct Item {
  size_t begin = 0, end = 0;
  std::string value;  // in normalized spelling
};
struct ItemAnswer {
  std::string value;   // "" if there is none
  std::string reason;  // the text that was read, or why there is no item
};
// All items of a kind, from left to right.
using FindItems = std::vector<Item> (*)(std::string_view text);

// The item of the first region that has one: in a marked region the first after the last equals
// sign, in the whole text the last. Ambiguous, so absent, if another one is joined to it.
ItemAnswer ReadItem(std::string_view completion, FindItems find);

// A list of `count` items with only separators, "and" and "then" between them. In a marked region
// (Extent::kRest) they are the first ones, in the whole text the last. A further item joined to
// them makes the list longer, so wrong. Empty if there is no such list.
std::vector<std::string> ReadItemList(std::string_view completion, FindItems find, size_t count);

}  // namespace lorikeet
