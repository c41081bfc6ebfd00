// Multiple choice: the letter of an option.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <optional>

#include "core/text.h"
#include "verify/answer.h"
#include "verify/grader.h"

namespace lorikeet {
namespace {

constexpr std::string_view kOpening = "*_`\"'([{$ ", kClosing = "*_`\"')]}$ ";

bool IsUpper(char c) { return c >= 'A' && c <= 'Z'; }
char Upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }
bool IsWordChar(char c) { return IsAsciiLetter(c) || IsAsciiDigit(c); }

void SkipOpening(std::string_view* text) {
  for (bool more = true; more;) {
    text->remove_prefix(std::min(text->find_first_not_of(kOpening), text->size()));
    more = false;
    for (const std::string_view command : {"\\text{", "\\textbf{", "\\mathrm{", "\\mathbf{"}) {
      if (!text->starts_with(command)) continue;
      text->remove_prefix(command.size());
      more = true;
    }
  }
}

std::string_view FirstWord(std::string_view text) {
  size_t end = 0;
  while (end < text.size() && IsWordChar(text[end])) ++end;
  return text.substr(0, end);
}

// "Option", "the letter", ... before the letter itself.
void SkipFillers(std::string_view* text) {
  constexpr std::array<std::string_view, 6> kFillers = {"the",    "correct", "option",
                                                        "choice", "letter",  "answer"};
  for (;;) {
    SkipOpening(text);
    const std::string_view word = FirstWord(*text);
    if (std::ranges::count(kFillers, LowerAscii(word)) == 0) return;
    text->remove_prefix(word.size());
  }
}

// Whether a letter followed by `rest` can be that of an option: "B", "B)", "B Paris", "B is right",
// not "A good idea".
bool EndsLetter(std::string_view rest) {
  if (rest.empty() || !IsWordChar(rest[0])) {
    if (rest.starts_with("'")) return rest.size() == 1 || !IsAsciiLetter(rest[1]);  // I'm
    const size_t next = rest.find_first_not_of(' ');
    if (next == std::string_view::npos || next == 0) return true;
    const std::string_view word = FirstWord(rest.substr(next));
    constexpr std::array<std::string_view, 6> kBehind = {"is", "because", "since",
                                                         "as", "or",      "and"};
    return word.empty() || IsUpper(word[0]) || IsAsciiDigit(word[0]) ||
           std::ranges::count(kBehind, word) > 0;
  }
  return false;
}

struct Letter {
  char letter = '\0';  // 0: none
  bool ambiguous = false;
};

// Whether the letter of another option is joined to the one before `rest`.
bool AnotherFollows(char letter, std::string_view rest) {
  rest = rest.substr(0, rest.find('\n'));
  for (size_t i = 0; i < rest.size();) {
    const std::string_view word = FirstWord(rest.substr(i));
    if (word.size() == 1 && IsUpper(word[0]) && word[0] != letter) {
      return Joined(rest.substr(0, i));
    }
    i += std::max<size_t>(word.size(), 1);
  }
  return false;
}

// The letter at the start of `text`.
Letter LeadingLetter(std::string_view text) {
  SkipFillers(&text);
  if (text.empty() || !IsAsciiLetter(text[0])) return {};
  const std::string_view rest = text.substr(1);
  // A lower-case letter must be the whole text: "a" is also a word.
  const bool alone = rest.find_first_not_of(std::string(kClosing) + ".:") == std::string_view::npos;
  if (IsUpper(text[0]) ? !EndsLetter(rest) : !alone) return {};
  const char letter = Upper(text[0]);
  return {letter, AnotherFollows(letter, rest)};
}

// The last "(B)".
Letter LastBracketed(std::string_view text) {
  for (size_t i = text.size(); i-- > 2;) {
    if (text[i] == ')' && text[i - 2] == '(' && IsUpper(text[i - 1])) return {text[i - 1], false};
  }
  return {};
}

Letter LetterOfText(std::string_view text) {
  const size_t last_break = text.rfind('\n');
  const Letter first = LeadingLetter(text);
  const Letter last =
      last_break == std::string_view::npos ? first : LeadingLetter(text.substr(last_break + 1));
  if (first.letter == '\0' && last.letter == '\0') return LastBracketed(text);
  if (first.letter == '\0' || last.letter == '\0') return first.letter == '\0' ? last : first;
  return {last.letter, first.letter != last.letter || first.ambiguous || last.ambiguous};
}

Letter ReadLetter(std::string_view completion) {
  for (const Region& region : AnswerRegions(FinalText(completion), Extent::kLine)) {
    const Letter letter = region.marked ? LeadingLetter(region.text) : LetterOfText(region.text);
    if (letter.letter != '\0') return letter;
  }
  return {};
}

}  // namespace

Grade GradeChoice(std::string_view answer, std::string_view completion, const GraderOptions&) {
  std::string_view reference = Trimmed(answer);
  while (!reference.empty() && kOpening.find(reference.front()) != std::string_view::npos)
    reference.remove_prefix(1);
  const bool letter = !reference.empty() && IsAsciiLetter(reference[0]) &&
                      reference.find_first_not_of(").]", 1) == std::string_view::npos;
  if (!letter) return Grade::Invalid(fmt::format("the reference {} is no letter", Quoted(answer)));
  const char expected = Upper(reference[0]);
  const Letter given = ReadLetter(completion);
  if (given.letter == '\0') return Grade::Wrong("no letter");
  if (given.ambiguous) return Grade::Wrong("several letters");
  if (given.letter == expected) return Grade::Correct();
  return Grade::Wrong(fmt::format("{} is not {}", given.letter, expected));
}

}  // namespace lorikeet
