// The final answer in the text that a model wrote.
#pragma once
#include <string>
#include <string_view>

namespace lorikeet::math {

struct FinalAnswer {
  std::string text;        // without what only sets it off ($, **, a full stop); empty: none
  std::string_view where;  // "\\boxed", "####", ...; why there is none
};

// What counts is FinalText(completion), and in it what the last <answer>...</answer> holds, if
// there is one. The first of these that occurs there decides, and nothing else:
//   1. the last \boxed{...} or \fbox{...}
//   2. the last line with ####
//   3. the last "answer is ...", "answer: ...", up to the end of the sentence
//   4. the last formula: $...$, $$...$$, \(...\), \[...\]
//   5. the whole text, if it is one line of at most 200 bytes
FinalAnswer ExtractAnswer(std::string_view completion);

// The same for a reference: \boxed{...} or #### if it has one, else all of it.
std::string ReferenceAnswer(std::string_view reference);

}  // namespace lorikeet::math
