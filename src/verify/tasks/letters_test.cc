#include <gtest/gtest.h>

#include <algorithm>

#include "verify/tasks/task_for_test.h"

namespace lorikeet {
namespace {

TEST(CountLettersTask, ReadsNumbersAndWords) {
  ExpectVerdicts(ProblemOf("count_letters", "2"),
                 {{"2", kRight},
                  {"The letter \"r\" occurs 2 times in the word \"mirror\".", kRight},
                  {"It occurs twice.", kRight},
                  {"Two", kRight},
                  {"2 (two)", kRight},
                  {"Answer: two, at 1 and 4", kRight},
                  {"once", kFalse},
                  {"3", kFalse},
                  {"2 or 3", kFalse},
                  {"two or three", kFalse},
                  {"20", kFalse},
                  {"-2", kFalse},
                  {"twofold", kFalse},
                  {"", kFalse}});
  ExpectVerdicts(ProblemOf("count_letters", "0"),
                 {{"0", kRight}, {"zero", kRight}, {"-0", kRight}});
}

TEST(CountLettersTask, CountsWhatItAsksFor) {
  for (const int difficulty : {1, 3, 12}) {
    for (uint64_t index = 0; index < 50; ++index) {
      const Problem problem = GetTask("count_letters").make(0, index, difficulty);
      const std::string& prompt = problem.messages[0].content;
      const size_t letter = prompt.find('"') + 1, text = prompt.find('"', letter + 2) + 1;
      const std::string words = prompt.substr(text, prompt.find('"', text) - text);
      EXPECT_EQ(std::count(words.begin(), words.end(), ' ') + 1, difficulty) << words;
      EXPECT_EQ(problem.answer,
                std::to_string(std::count(words.begin(), words.end(), prompt[letter])));
    }
  }
}

}  // namespace
}  // namespace lorikeet
