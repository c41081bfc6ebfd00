#include <gtest/gtest.h>

#include <algorithm>

#include "verify/tasks/task_for_test.h"

namespace lorikeet {
namespace {

TEST(SudokuTask, ChecksRulesAndGivens) {
  const Problem problem = ProblemOf("sudoku4", "1 2 3 4\n3 4 1 2\n2 1 4 3\n4 3 2 1",
                                    {{"grid", {1, 0, 3, 4, 3, 4, 0, 2, 2, 1, 4, 0, 0, 3, 2, 1}}});
  ExpectVerdicts(
      problem,
      {{"1 2 3 4\n3 4 1 2\n2 1 4 3\n4 3 2 1", kRight},
       {"1234\n3412\n2143\n4321", kRight},
       {"Here it is:\n\n| 1 | 2 | 3 | 4 |\n|---|---|---|---|\n| 3 | 4 | 1 | 2 |\n| 2 | 1 | 4 | 3 "
        "|\n"
        "| 4 | 3 | 2 | 1 |\nDone.",
        kRight},
       {"[[1,2,3,4],[3,4,1,2],[2,1,4,3],[4,3,2,1]]", kRight},
       {"1, 2, 3, 4\n\n3, 4, 1, 2\n-----\n2, 1, 4, 3\n\n4, 3, 2, 1", kRight},
       {"1 _ 3 4\n3 4 _ 2\n2 1 4 _\n_ 3 2 1\n\n1 2 3 4\n3 4 1 2\n2 1 4 3\n4 3 2 1", kRight},
       {"Answer:\n1 2 3 4\n3 4 1 2\n2 1 4 3\n4 3 2 1", kRight},
       {"2 1 3 4\n3 4 1 2\n1 2 4 3\n4 3 2 1", kFalse},  // obeys the rules, changes the givens
       {"1 2 3 4\n3 4 1 2\n2 1 4 3\n4 3 2 2", kFalse},
       {"1 2 3 4\n3 4 1 2\n2 1 4 3\n4 3 2 0", kFalse},
       {"1 2 3 4\n3 4 5 2\n2 1 4 3\n4 3 2 1", kFalse},
       {"1 2 3 4\n3 4 1 2\n2 1 4 3", kFalse},
       {"1 _ 3 4\n3 4 _ 2\n2 1 4 _\n_ 3 2 1", kFalse},
       {"1 2 3 4\n3 4 1 2\n2 1 4 3\n4 3 2 1\n4 3 2 1", kFalse},
       {"1 2 3 4 5\n3 4 1 2\n2 1 4 3\n4 3 2 1", kFalse},
       {"", kFalse}});
}

TEST(SudokuTask, HasAsManyEmptyCellsAsAskedFor) {
  for (int difficulty = 1; difficulty <= 10; ++difficulty) {
    for (uint64_t index = 0; index < 20; ++index) {
      const auto grid =
          GetTask("sudoku4").make(9, index, difficulty).data["grid"].get<std::vector<int>>();
      EXPECT_EQ(std::count(grid.begin(), grid.end(), 0), difficulty);
    }
  }
}

}  // namespace
}  // namespace lorikeet
