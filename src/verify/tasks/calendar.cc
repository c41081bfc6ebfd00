// Weekdays and dates of the Gregorian calendar.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "core/text.h"
#include "verify/item_answer.h"
#include "verify/number_answer.h"
#include "verify/tasks/rows.h"

namespace lorikeet {
namespace {

using std::chrono::days;
using std::chrono::sys_days;
using std::chrono::year_month_day;

constexpr std::array<std::string_view, 7> kWeekdays = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                       "Thursday", "Friday", "Saturday"};

std::string Weekday(sys_days day) {
  return std::string(kWeekdays[std::chrono::weekday(day).c_encoding()]);
}

std::string Date(sys_days day) {
  const year_month_day date(day);
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
}

sys_days FirstDay(int year) { return std::chrono::year(year) / std::chrono::January / 1; }

sys_days RandomDay(ProblemRandom& random, int first_year, int last_year) {
  const sys_days first = FirstDay(first_year), end = FirstDay(last_year + 1);
  return first + days(random.Between(0, (end - first).count() - 1));
}

std::string Count(int64_t n) { return fmt::format("{} day{}", n, n == 1 ? "" : "s"); }

Question AskWeekday(std::string question, sys_days answer) {
  return {.prompt = std::move(question) + " Reply with the name of the day only.",
          .answer = Weekday(answer),
          .data = {{"kind", "weekday"}}};
}

Question AskDate(std::string question, sys_days answer) {
  return {.prompt = std::move(question) + " Reply with the date only, as YYYY-MM-DD.",
          .answer = Date(answer),
          .data = {{"kind", "date"}}};
}

Question MakeCalendar(ProblemRandom& random, int difficulty) {
  const sys_days day =
      difficulty == 7 ? RandomDay(random, 1900, 2099) : RandomDay(random, 2001, 2030);
  const int64_t n = difficulty == 1   ? random.Between(1, 6)
                    : difficulty == 2 ? random.Between(7, 60)
                    : difficulty == 3 ? random.Between(1, 27)
                                      : random.Between(28, difficulty == 6 ? 1000 : 360);
  switch (difficulty) {
    case 1:
      return AskWeekday(
          fmt::format("Which day of the week comes {} after {}?", Count(n), Weekday(day)),
          day + days(n));
    case 2: {
      const bool later = random.Coin();
      return AskWeekday(fmt::format("Today is {}. What day of the week {} {}{}?", Weekday(day),
                                    later ? "is it in" : "was it", Count(n), later ? "" : " ago"),
                        later ? day + days(n) : day - days(n));
    }
    case 3:
      return AskDate(fmt::format("What is the date {} after {}?", Count(n), Date(day)),
                     day + days(n));
    case 4:
      return {.prompt = fmt::format("How many days are there from {} to {}? Reply with the number "
                                    "only.",
                                    Date(day), Date(day + days(n))),
              .answer = std::to_string(n),
              .data = {{"kind", "number"}}};
    case 5:
      return AskWeekday(fmt::format("{} is a {}. What day of the week is {}?", Date(day),
                                    Weekday(day), Date(day + days(n))),
                        day + days(n));
    case 6: {
      const bool later = random.Coin();
      return AskDate(fmt::format("What is the date {} {} {}?", Count(n), later ? "after" : "before",
                                 Date(day)),
                     later ? day + days(n) : day - days(n));
    }
    default:
      return AskWeekday(fmt::format("What day of the week is {}?", Date(day)), day);
  }
}

std::vector<Item> FindWeekdays(std::string_view text) {
  const std::string lower = LowerAscii(text);
  std::vector<Item> items;
  for (size_t i = 0; i < lower.size(); ++i) {
    if (i > 0 && IsAsciiLetter(lower[i - 1])) continue;
    for (const std::string_view name : kWeekdays) {
      const std::string word = LowerAscii(name);
      const size_t end = i + word.size();
      if (lower.compare(i, word.size(), word) != 0) continue;
      if (end < lower.size() && IsAsciiLetter(lower[end])) continue;
      items.push_back({i, end, word});
    }
  }
  return items;
}

// Reads up to `max` digits at text[*at].
int Digits(std::string_view text, size_t* at, size_t max) {
  int value = 0;
  for (const size_t end = *at + max; *at < text.size() && *at < end; ++*at) {
    if (!IsAsciiDigit(text[*at])) break;
    value = value * 10 + (text[*at] - '0');
  }
  return value;
}

// YYYY-MM-DD, with - or / between, with or without leading zeros.
std::vector<Item> FindDates(std::string_view text) {
  std::vector<Item> items;
  for (size_t i = 0; i < text.size(); ++i) {
    if (i > 0 && IsAsciiDigit(text[i - 1])) continue;
    size_t at = i;
    const int year = Digits(text, &at, 4);
    if (at != i + 4 || at >= text.size() || (text[at] != '-' && text[at] != '/')) continue;
    const char separator = text[at];
    const size_t month_at = ++at;
    const int month = Digits(text, &at, 2);
    if (at == month_at || at >= text.size() || text[at] != separator) continue;
    const size_t day_at = ++at;
    const int day = Digits(text, &at, 2);
    if (at == day_at || (at < text.size() && IsAsciiDigit(text[at]))) continue;
    items.push_back({i, at, fmt::format("{:04}-{:02}-{:02}", year, month, day)});
  }
  return items;
}

Grade GradeCalendar(const Problem& problem, std::string_view completion) {
  const std::string kind = problem.data.at("kind").get<std::string>();
  if (kind == "number") return GradeNumber(problem, completion);
  const ItemAnswer answer = ReadItem(completion, kind == "date" ? FindDates : FindWeekdays);
  if (answer.value.empty()) return Grade::Wrong(answer.reason);
  if (answer.value == LowerAscii(problem.answer)) return Grade::Correct();
  return Grade::Wrong(fmt::format("{} is not {}", answer.reason, Quoted(problem.answer)));
}

}  // namespace

std::vector<TaskRow> CalendarTasks() {
  return {
      {"calendar", "a weekday, a date or a number of days",
       "1: weekday after up to 6 days; 2: in or before up to 60; 3: date in up to 27 days; 4: days "
       "between dates; 5: weekday from that of another date; 6: date up to 1000 days away; 7: "
       "weekday of a date",
       1, 7, 1, MakeCalendar, GradeCalendar}};
}

}  // namespace lorikeet
