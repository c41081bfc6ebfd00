// Extraction of the final answer from a completion.
#pragma once
#include <string>
#include <string_view>

namespace lorikeet::math {

struct FinalAnswer {
  std::string text;        // without its markup ($, **, a full stop); empty: no answer
  std::string_view where;  // "\\boxed", "####", ...; else the reason why there is none
};

// Searches FinalText(completion), or the contents of its last <answer>...</answer> if there is one.
// The first of these that occurs there is the answer:
//   1. the last \boxed{...} or \fbox{...}
//   2. the last line with ####
//   3. the last "answer is ...", "answer: ...", up to the end of the sentence; or the text under a
//      heading "**Final Answer**"
//   4. the last formula: $...$, $$...$$, \(...\), \[...\]
//   5. the whole text, if it is one line of at most 200 bytes
FinalAnswer ExtractAnswer(std::string_view completion);

// The same for a reference: \boxed{...} or #### if present, else the whole text.
std::string ReferenceAnswer(std::string_view reference);

}  // namespace lorikeet::math
