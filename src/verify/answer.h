// Extraction of the answer from a completion: lenient in format, strict in content. Each rule picks
// one place, so that giving several answers never helps.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lorikeet {

enum class Spaces : uint8_t { kTrim, kKeep };
// The graded part of a completion: the text after the last </think> or </thinking>, nothing if
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

// Regions to search, best first; the caller uses the first region that contains an answer.
//   1. inside the last \boxed{...} or \fbox{...}
//   2. after "answer:", "answer is", "answer =" (any case, ** and _ ignored) and under a heading
//      "**Final Answer**", the last first; at most 16 of them
//   3. the whole text
// If the text has <answer>...</answer>, the contents of the last one replace the text and are
// marked. Only the last 16 KiB are read.
std::vector<Region> AnswerRegions(std::string_view final_text, Extent extent);

// Offset of the text under a heading, a line "**Final Answer**", "## Answer" or the like, whose
// word "answer" is at text[at]; 0 if it is not in such a line.
size_t BehindAnswerHeading(std::string_view text, size_t at);

// Whether two answers with `gap` between them are given together ("5 or 6", "3, 4", "3 + 4",
// "12:30", "7 8"), rather than the second as a separate result or remark: a line break, the end of
// a sentence, an opening bracket, an equals sign, a colon before a space or a word that is not an
// operator separates them.
bool Joined(std::string_view gap);

}  // namespace lorikeet
