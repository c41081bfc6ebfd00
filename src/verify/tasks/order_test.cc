#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "verify/tasks/task_for_test.h"

namespace lorikeet {
namespace {

TEST(SortNumbersTask, ChecksTheWholeList) {
  ExpectVerdicts(ProblemOf("sort_numbers", "3, 5, 123", {{"sorted", {3, 5, 123}}}),
                 {{"3, 5, 123", kRight},
                  {"3,5,123", kRight},
                  {"3 5 123", kRight},
                  {"[3, 5, 123].", kRight},
                  {"3, 5 and 123", kRight},
                  {"- 3\n- 5\n- 123", kRight},
                  {"The numbers 123, 3, 5 in order are: 3, 5, 123", kRight},
                  {"**Answer:** 3, 5, 123", kRight},
                  {"5, 3, 123", kFalse},
                  {"3, 5", kFalse},
                  {"1, 3, 5, 123", kFalse},
                  {"3, 5, 123, 124", kFalse},
                  {"3, 5, 5, 123", kFalse},
                  {"3, -5, 123", kFalse},
                  {"3, 5, 123.5", kFalse},
                  {"3, 5, 123\n123, 5, 3", kFalse},
                  {"", kFalse},
                  {Repeated("3, ", 100'000), kFalse}});
}

TEST(SortWordsTask, ChecksTheWholeList) {
  ExpectVerdicts(
      ProblemOf("sort_words", "apple, bear, cat", {{"sorted", {"apple", "bear", "cat"}}}),
      {{"apple, bear, cat", kRight},
       {"Apple, Bear, and Cat.", kRight},
       {"\"apple\", \"bear\", \"cat\"", kRight},
       {"1. apple\n2. bear\n3. cat", kRight},
       {"The words cat, apple, bear sorted alphabetically are:\napple\nbear\ncat", kRight},
       {"Answer: apple, bear, cat", kRight},
       {"apple, cat, bear", kFalse},
       {"apple, bear", kFalse},
       {"apple, bear, dog, cat", kFalse},
       {"apple, xylophone, bear, cat", kFalse},
       {"ant, apple, bear, cat", kFalse},
       {"apple, bear, cats", kFalse},
       {"", kFalse}});
}

TEST(SortTasks, HaveAsManyDifferentItemsAsTheDifficulty) {
  for (const char* name : {"sort_numbers", "sort_words"}) {
    for (int difficulty = 2; difficulty <= 20; ++difficulty) {
      const Json sorted = GetTask(name).make(0, 1, difficulty).data["sorted"];
      EXPECT_EQ(sorted.size(), static_cast<size_t>(difficulty));
      EXPECT_EQ(std::set<Json>(sorted.begin(), sorted.end()).size(), sorted.size());
      EXPECT_TRUE(std::is_sorted(sorted.begin(), sorted.end()));
    }
  }
}

}  // namespace
}  // namespace lorikeet
