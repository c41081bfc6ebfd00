// Graders of text: exact and regex.
#include <fmt/core.h>

#include "core/error.h"
#include "core/text.h"
#include "core/utf8.h"
#include "tokenizer/regex.h"
#include "tokenizer/unicode.h"
#include "verify/answer.h"
#include "verify/grader.h"

namespace lorikeet {

Grade GradeExact(std::string_view answer, std::string_view completion,
                 const GraderOptions& options) {
  const bool keep_space = HasOption(options, "keep_space");
  std::string expected(keep_space ? answer : Trimmed(answer));
  if (expected.empty()) return Grade::Invalid("the reference is empty");
  std::string given(FinalText(completion, keep_space ? Spaces::kKeep : Spaces::kTrim));
  if (HasOption(options, "ignore_case")) {
    expected = LowerAscii(expected);
    given = LowerAscii(given);
  }
  if (given == expected) return Grade::Correct();
  return Grade::Wrong(fmt::format("{} is not {}", Quoted(given), Quoted(expected)));
}

Grade GradeRegex(std::string_view answer, std::string_view completion,
                 const GraderOptions& options) {
  if (answer.empty()) return Grade::Invalid("the pattern is empty");
  if (!IsValidUtf8(answer)) return Grade::Invalid("the pattern is not valid UTF-8");
  const bool full = HasOption(options, "full");
  const std::string pattern = full ? fmt::format("\\A(?:{})\\z", answer) : std::string(answer);
  try {
    const Regex regex(pattern, "answer");
    const std::string text = ToValidUtf8(FinalText(completion));
    std::vector<Span> matches;
    regex.FindAll(text, &matches);
    if (matches.empty()) return Grade::Wrong("the pattern does not match");
    const Span& first = matches.front();
    return Grade::Correct("found " + Quoted(text.substr(first.begin, first.end - first.begin)));
  } catch (const Error& error) {  // a pattern that cannot be compiled or is too costly
    return Grade::Invalid(error.what());
  }
}

}  // namespace lorikeet
