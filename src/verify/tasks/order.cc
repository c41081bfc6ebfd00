// Sorting: numbers and words.
#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>

#include "core/text.h"
#include "verify/item_answer.h"
#include "verify/number_answer.h"
#include "verify/tasks/rows.h"

namespace lorikeet {
namespace {

template <class T>
std::string Listed(const std::vector<T>& items) {
  return fmt::format("{}", fmt::join(items, ", "));
}

Question MakeSortNumbers(ProblemRandom& random, int difficulty) {
  std::vector<int64_t> numbers;
  while (static_cast<int>(numbers.size()) < difficulty) {
    const int64_t number = random.Between(0, difficulty < 6 ? 99 : 999);
    if (std::ranges::count(numbers, number) == 0) numbers.push_back(number);
  }
  std::vector<int64_t> sorted = numbers;
  std::ranges::sort(sorted);
  return {.prompt = fmt::format("Sort in ascending order: {}. Reply with the numbers only.",
                                Listed(numbers)),
          .answer = Listed(sorted),
          .data = {{"sorted", sorted}}};
}

Question MakeSortWords(ProblemRandom& random, int difficulty) {
  std::vector<std::string> words;
  while (static_cast<int>(words.size()) < difficulty) {
    const std::string word(random.PickFrom(CommonWords()));
    if (std::ranges::count(words, word) == 0) words.push_back(word);
  }
  std::vector<std::string> sorted = words;
  std::ranges::sort(sorted);
  return {.prompt = fmt::format("Sort in alphabetical order: {}. Reply with the words only.",
                                Listed(words)),
          .answer = Listed(sorted),
          .data = {{"sorted", sorted}}};
}

std::vector<Item> FindNumbers(std::string_view text) {
  std::vector<Item> items;
  for (auto number = NextNumber(text, 0, Grouping::kNone); number;
       number = NextNumber(text, number->end, Grouping::kNone)) {
    items.push_back({number->begin, number->end, number->value ? number->value->ToString() : "?"});
  }
  return items;
}

// Words of the list from which tasks draw: other words are prose, or make a list wrong.
std::vector<Item> FindWords(std::string_view text) {
  std::vector<Item> items;
  for (size_t i = 0; i < text.size(); ++i) {
    size_t end = i;
    while (end < text.size() && IsAsciiLetter(text[end])) ++end;
    const std::string word = LowerAscii(text.substr(i, end - i));
    if (std::ranges::count(CommonWords(), std::string_view(word)) > 0) {
      items.push_back({i, end, word});
    }
    i = end;
  }
  return items;
}

Grade GradeList(const std::vector<std::string>& expected, const std::vector<std::string>& given) {
  if (given.empty()) return Grade::Wrong(fmt::format("no list of {}", expected.size()));
  if (given == expected) return Grade::Correct();
  return Grade::Wrong(fmt::format("{} is not in order, or of other items", Quoted(Listed(given))));
}

Grade GradeSortNumbers(const Problem& problem, std::string_view completion) {
  std::vector<std::string> expected;
  for (const int64_t number : problem.data.at("sorted").get<std::vector<int64_t>>()) {
    expected.push_back(std::to_string(number));
  }
  const std::string plain = PlainNumbers(completion);
  return GradeList(expected, ReadItemList(plain, FindNumbers, expected.size()));
}

Grade GradeSortWords(const Problem& problem, std::string_view completion) {
  const auto expected = problem.data.at("sorted").get<std::vector<std::string>>();
  return GradeList(expected, ReadItemList(completion, FindWords, expected.size()));
}

}  // namespace

std::vector<TaskRow> OrderTasks() {
  return {{"sort_numbers", "numbers from smallest to largest", "numbers; from 6 on of 3 digits", 2,
           20, 2, MakeSortNumbers, GradeSortNumbers},
          {"sort_words", "words alphabetically", "words", 2, 20, 2, MakeSortWords, GradeSortWords}};
}

}  // namespace lorikeet
