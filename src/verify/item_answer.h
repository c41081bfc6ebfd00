// Answers that are words, dates, digits of another base, or lists of them: which of the items in a
// text is the answer. The rules are those of numbers (verify/number_answer.h).
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "verify/answer.h"

namespace lorikeet {

// A thing of the kind that was asked for, found in a text.
struct Item {
  size_t begin = 0, end = 0;
  std::string value;  // in one spelling
};
struct ItemAnswer {
  std::string value;   // "" if there is none
  std::string reason;  // what was read, or why nothing
};
// All items of a kind, from left to right.
using FindItems = std::vector<Item> (*)(std::string_view text);

// The item of the first region that has one: in a marked region the first behind the last equals
// sign, in the whole text the last. Ambiguous, so absent, if another one is joined to it.
ItemAnswer ReadItem(std::string_view completion, FindItems find);

// A list of items: `count` of them, with nothing but separators, "and" and "then" between. In a
// marked region (Extent::kRest) they are the first ones, in the whole text the last. A further item
// joined to them makes the list longer, so wrong. Empty if there is no such list.
std::vector<std::string> ReadItemList(std::string_view completion, FindItems find, size_t count);

}  // namespace lorikeet
