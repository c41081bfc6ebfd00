// Numbers in other bases.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "core/text.h"
#include "verify/item_answer.h"
#include "verify/number_answer.h"
#include "verify/tasks/rows.h"

namespace lorikeet {
namespace {

std::string InBase(int64_t value, int64_t base) {
  std::string digits;
  do {
    digits.push_back("0123456789abcdef"[value % base]);
    value /= base;
  } while (value > 0);
  std::ranges::reverse(digits);
  return digits;
}

Question MakeBase(ProblemRandom& random, int difficulty) {
  const int64_t value = random.Between(0, (int64_t{1} << (difficulty + 2)) - 1);
  int64_t from = 10, to = 2;
  if (difficulty >= 7) {
    from = random.Between(2, 16);
    to = random.Between(2, 15);
    if (to >= from) ++to;
  } else if (difficulty >= 5) {
    std::array<int64_t, 4> bases = {2, 8, 10, 16};
    random.Shuffle(bases);
    from = bases[0];
    to = bases[1];
  } else if (difficulty >= 3 && random.Coin()) {
    std::swap(from, to);
  }
  return {.prompt = fmt::format("Convert {} from base {} to base {}. Reply with the digits only.",
                                InBase(value, from), from, to),
          .answer = InBase(value, to),
          .data = {{"base", to}}};
}

bool IsWordChar(char c) { return IsAsciiDigit(c) || IsAsciiLetter(c); }

int DigitValue(char c) {
  return IsAsciiDigit(c) ? c - '0' : std::tolower(static_cast<unsigned char>(c)) - 'a' + 10;
}

// Words that may be numerals: words with a digit, and a word that is the whole text. The base after
// an underscore is not one.
std::vector<Item> FindNumerals(std::string_view text) {
  std::vector<Item> items;
  size_t words = 0;
  Item last;
  for (size_t i = 0; i < text.size();) {
    size_t end = i;
    while (end < text.size() && IsWordChar(text[end])) ++end;
    if (end == i) {
      ++i;
      continue;
    }
    const std::string word = LowerAscii(text.substr(i, end - i));
    const bool subscript = i > 0 && (text[i - 1] == '_' || text.substr(0, i).ends_with("_{"));
    if (!subscript) {
      last = {i, end, word};
      ++words;
      if (std::ranges::any_of(word, IsAsciiDigit)) items.push_back(last);
    }
    i = end;
  }
  if (items.empty() && words == 1) items.push_back(last);
  return items;
}

// The first numeral of the last line with words, after "=", " is " and the like: "13 in base 2 is
// 1101", "1101 in base 2". A numeral joined to it is included, so that the caller sees it.
std::vector<Item> FindAnswerNumerals(std::string_view text) {
  while (!text.empty() && !IsWordChar(text.back())) text.remove_suffix(1);
  size_t begin = 0;
  for (const std::string_view sign : {"\n", "=", " is ", " equals ", "->", "→", ": "}) {
    const size_t at = text.rfind(sign);
    if (at != std::string_view::npos) begin = std::max(begin, at + sign.size());
  }
  std::vector<Item> items = FindNumerals(text.substr(begin));
  for (Item& item : items) {
    item.begin += begin;
    item.end += begin;
  }
  if (items.size() < 2) return items;
  items.resize(2);
  if (!Joined(text.substr(items[0].end, items[1].begin - items[0].end))) items.resize(1);
  return items;
}

// `word` without the prefix of its base and leading zeros; "" if it has other digits.
std::string Numeral(std::string_view word, int base) {
  const std::string_view prefix = base == 2 ? "0b" : base == 8 ? "0o" : base == 16 ? "0x" : " ";
  if (word.starts_with(prefix)) word.remove_prefix(prefix.size());
  for (const char c : word) {
    if (DigitValue(c) >= base) return {};
  }
  const size_t first = word.find_first_not_of('0');
  if (first == std::string_view::npos) return word.empty() ? "" : "0";
  return std::string(word.substr(first));
}

Grade GradeBase(const Problem& problem, std::string_view completion) {
  const int base = problem.data.at("base").get<int>();
  if (base == 10) return GradeNumber(problem, completion);
  const ItemAnswer answer = ReadItem(completion, FindAnswerNumerals);
  if (answer.value.empty()) return Grade::Wrong(answer.reason);
  const std::string numeral = Numeral(answer.value, base);
  if (numeral.empty())
    return Grade::Wrong(fmt::format("{} is not in base {}", answer.reason, base));
  if (numeral == problem.answer) return Grade::Correct();
  return Grade::Wrong(fmt::format("{} is not {}", answer.reason, Quoted(problem.answer)));
}

}  // namespace

std::vector<TaskRow> BaseTasks() {
  return {
      {"base", "a number in another base",
       "bits of the number, less 2; from 1 on to binary, from 3 on back too, from 5 on bases 2, "
       "8, 10 and 16, from 7 on all from 2 to 16",
       1, 12, 1, MakeBase, GradeBase}};
}

}  // namespace lorikeet
