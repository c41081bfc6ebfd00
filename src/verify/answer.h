// Where in a completion the answer stands. Lenient in format, strict in content: each rule picks
// one place, so that naming several answers never helps.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lorikeet {

enum class Spaces : uint8_t { kTrim, kKeep };
// What counts of a completion: the text behind the last </think> or </thinking>, nothing if
// thinking began and did not end; without end-of-turn tokens at its end (<|im_end|>, </s>, ...) and
// without white space around it. A view of `completion`.
std::string_view FinalText(std::string_view completion, Spaces spaces = Spaces::kTrim);

// A part of the final text that may hold the answer.
struct Region {
  std::string_view text;
  bool marked = false;  // by a tag, a box or the word "answer"; else it is all of the text
};
enum class Extent : uint8_t {
  kLine,  // from the word "answer" to the end of its line, or the next line with text if that is
          // empty
  kRest,  // from the word "answer" to the end of the text: grids, lists with an item a line
};

// Where to look, best first; the caller takes the first region that holds what it looks for.
//   1. inside the last \boxed{...} or \fbox{...}
//   2. behind "answer:", "answer is", "answer =" (any case, ** and _ ignored), the last first; at
//      most 16 of them
//   3. the whole text
// If the text has <answer>...</answer>, the inside of the last one takes the place of the text, and
// is marked. Only the last 16 KiB are read.
std::vector<Region> AnswerRegions(std::string_view final_text, Extent extent);

// Whether two answers with `gap` between them are given together ("5 or 6", "3, 4", "3 + 4",
// "12:30", "7 8"), and not the second as a result or remark of its own: a line break, a sentence's
// end, an opening bracket, an equals sign, a colon before a space or a word that is no operator
// separates them.
bool Joined(std::string_view gap);

}  // namespace lorikeet
