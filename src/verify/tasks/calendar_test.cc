#include <gtest/gtest.h>

#include <cstdio>
#include <set>

#include "verify/tasks/task_for_test.h"

namespace lorikeet {
namespace {

TEST(CalendarTask, ReadsWeekdays) {
  ExpectVerdicts(ProblemOf("calendar", "Thursday", {{"kind", "weekday"}}),
                 {{"Thursday", kRight},
                  {"thursday.", kRight},
                  {"**THURSDAY**", kRight},
                  {"3 days after Monday is Thursday", kRight},
                  {"Monday, then Tuesday, then Wednesday.\nThursday", kRight},
                  {"Answer: Thursday, as Monday is 3 days before.", kRight},
                  {"Answer: Monday + 3 = Thursday", kRight},
                  {"Thursday (not Friday)", kFalse},  // the last of the text counts
                  {"Wednesday or Thursday", kFalse},
                  {"Monday Tuesday Wednesday Thursday Friday", kFalse},
                  {"Answer: Thursday/Friday", kFalse},
                  {"Thu", kFalse},
                  {"Thursdays", kFalse},
                  {"Friday", kFalse},
                  {"", kFalse}});
}

TEST(CalendarTask, ReadsDates) {
  ExpectVerdicts(ProblemOf("calendar", "2024-03-05", {{"kind", "date"}}),
                 {{"2024-03-05", kRight},
                  {"2024-3-5.", kRight},
                  {"2024/03/05", kRight},
                  {"5 days after 2024-02-29 is 2024-03-05", kRight},
                  {"Answer: **2024-03-05**", kRight},
                  {"2024-05-03", kFalse},
                  {"05-03-2024", kFalse},
                  {"2024-03-055", kFalse},
                  {"12024-03-05", kFalse},
                  {"2024-03/05", kFalse},
                  {"2024-03-05 or 2024-03-06", kFalse},
                  {"2024-03", kFalse},
                  {"", kFalse}});
  ExpectVerdicts(ProblemOf("calendar", "57", {{"kind", "number"}}),
                 {{"57", kRight},
                  {"57 days", kRight},
                  {"From 2024-03-05 to 2024-05-01 there are 57 days.", kRight},
                  {"2024-05-57", kFalse},
                  {"56", kFalse}});
}

// Known days, one of each kind of year; the calendar repeats after 400 years.
TEST(CalendarTask, TheReferenceIsOfTheGregorianCalendar) {
  std::set<std::string> seen;
  for (uint64_t index = 0; index < 4000; ++index) {
    const Problem problem = GetTask("calendar").make(0, index, 7);
    int year = 0, month = 0, day = 0;
    ASSERT_EQ(std::sscanf(problem.messages[0].content.c_str(), "What day of the week is %d-%d-%d?",
                          &year, &month, &day),
              3);
    // Sakamoto's method, 1992.
    constexpr int kShift[] = {0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4};
    const int y = month < 3 ? year - 1 : year;
    const int weekday = (y + y / 4 - y / 100 + y / 400 + kShift[month - 1] + day) % 7;
    constexpr const char* kNames[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                      "Thursday", "Friday", "Saturday"};
    EXPECT_EQ(problem.answer, kNames[weekday]) << problem.messages[0].content;
    seen.insert(problem.answer);
  }
  EXPECT_EQ(seen.size(), 7u);
}

}  // namespace
}  // namespace lorikeet
