// Counting letters.
#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "core/text.h"
#include "verify/item_answer.h"
#include "verify/number_answer.h"
#include "verify/tasks/rows.h"

namespace lorikeet {
namespace {

Question MakeCountLetters(ProblemRandom& random, int difficulty) {
  std::string text;
  for (int i = 0; i < difficulty; ++i) {
    if (i > 0) text.push_back(' ');
    text += random.PickFrom(CommonWords());
  }
  // With probability 3/4 a letter that occurs.
  char letter = ' ';
  while (letter == ' ') {
    letter = random.Between(0, 3) > 0 ? random.PickFrom(text)
                                      : static_cast<char>('a' + random.Between(0, 25));
  }
  return {
      .prompt = fmt::format("How many times does the letter \"{}\" occur in the {} \"{}\"? Reply "
                            "with the number only.",
                            letter, difficulty == 1 ? "word" : "words", text),
      .answer = std::to_string(std::ranges::count(text, letter))};
}

// Numbers, also in words: "twice".
std::vector<Item> FindCounts(std::string_view text) {
  constexpr std::array<std::string_view, 13> kWords = {"zero", "one",    "two",   "three", "four",
                                                       "five", "six",    "seven", "eight", "nine",
                                                       "ten",  "eleven", "twelve"};
  std::vector<Item> items;
  auto number = NextNumber(text, 0, Grouping::kCommas);
  for (size_t i = 0; i < text.size(); ++i) {
    if (number && i >= number->begin) {
      items.push_back(
          {number->begin, number->end, number->value ? number->value->ToString() : "?"});
      i = number->end - 1;
      number = NextNumber(text, number->end, Grouping::kCommas);
      continue;
    }
    size_t end = i;
    while (end < text.size() && IsAsciiLetter(text[end])) ++end;
    const std::string word = LowerAscii(text.substr(i, end - i));
    const auto* const found = std::ranges::find(kWords, word);
    const int64_t value = word == "once" ? 1 : word == "twice" ? 2 : found - kWords.begin();
    if (value < static_cast<int64_t>(kWords.size()))
      items.push_back({i, end, std::to_string(value)});
    i = std::max(i, end);
  }
  return items;
}

Grade GradeCount(const Problem& problem, std::string_view completion) {
  const ItemAnswer answer = ReadItem(PlainNumbers(FinalText(completion)), FindCounts);
  return CompareNumber(problem.answer, {ParseNumber(answer.value), true, answer.reason});
}

}  // namespace

std::vector<TaskRow> LetterTasks() {
  return {{"count_letters", "how often a letter occurs in a word or a few", "words", 1, 12, 1,
           MakeCountLetters, GradeCount}};
}

}  // namespace lorikeet
