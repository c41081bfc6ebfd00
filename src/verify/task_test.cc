#include "verify/task.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "core/error.h"
#include "verify/tasks/task_for_test.h"

namespace lorikeet {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

constexpr uint64_t kProblems = 8;  // problems of each task, seed and difficulty

// Changes the last letter or digit into another that is plausible there.
std::string Perturbed(const std::string& answer) {
  std::string other = answer;
  for (size_t i = other.size(); i-- > 0;) {
    char& c = other[i];
    if (c >= '0' && c <= '9') {
      c = c == '0' ? '1' : c == '1' ? '2' : '1';
      return other;
    }
    if (c >= 'a' && c <= 'z') {
      c = c == 'x' ? 'y' : 'x';
      return other;
    }
  }
  return other + "1";
}

void ForAll(const std::function<void(const Task&, const Problem&, int difficulty)>& check) {
  for (const Task& task : GeneratedTasks()) {
    for (const uint64_t seed : {0ULL, 1ULL, 0xFFFFFFFFFFFFFFFFULL}) {
      for (int difficulty = task.min_difficulty; difficulty <= task.max_difficulty; ++difficulty) {
        for (uint64_t index = 0; index < kProblems; ++index) {
          check(task, task.make(seed, index, difficulty), difficulty);
        }
      }
    }
  }
}

std::string Prompt(const Problem& problem) { return problem.messages.at(0).content; }

TEST(Tasks, AreDescribed) {
  std::set<std::string> names;
  for (const Task& task : GeneratedTasks()) {
    EXPECT_TRUE(names.insert(task.name).second) << task.name;
    EXPECT_FALSE(task.summary.empty() || task.difficulty_meaning.empty()) << task.name;
    EXPECT_LE(task.min_difficulty, task.default_difficulty) << task.name;
    EXPECT_LE(task.default_difficulty, task.max_difficulty) << task.name;
    EXPECT_EQ(FindTask(task.name), &task);
  }
  EXPECT_EQ(names.size(), 14u);
}

TEST(Tasks, UnknownNamesAndDifficultiesAreErrors) {
  EXPECT_EQ(FindTask("countdwn"), nullptr);
  EXPECT_THAT([] { GetTask("countdwn"); },
              ThrowsMessage<Error>(HasSubstr("no task 'countdwn'; did you mean 'countdown'?")));
  EXPECT_THAT([] { GetTask("chess"); }, ThrowsMessage<Error>(HasSubstr("there are add, subtract")));
  for (const Task& task : GeneratedTasks()) {
    EXPECT_THROW(task.make(0, 0, task.min_difficulty - 1), Error) << task.name;
    EXPECT_THROW(task.make(0, 0, task.max_difficulty + 1), Error) << task.name;
  }
  EXPECT_THAT([] { GetTask("add").make(0, 0, 99); },
              ThrowsMessage<Error>("task add: no difficulty 99; choose 1 to 18 (digits of each "
                                   "number)"));
}

TEST(Tasks, ProblemsAreComplete) {
  std::set<std::string> ids;
  ForAll([&](const Task& task, const Problem& problem, int) {
    EXPECT_EQ(problem.task, task.name);
    EXPECT_EQ(problem.grader, task.name);
    ASSERT_EQ(problem.messages.size(), 1u);
    EXPECT_EQ(problem.messages[0].role, "user");
    EXPECT_FALSE(Prompt(problem).empty());
    EXPECT_FALSE(problem.answer.empty());
    EXPECT_TRUE(problem.data.is_object());
    EXPECT_TRUE(ids.insert(problem.id).second) << problem.id;
  });
}

TEST(Tasks, TheReferenceIsCorrectInEveryFormat) {
  ForAll([](const Task&, const Problem& problem, int) {
    ExpectVerdicts(problem, {{problem.answer, kRight},
                             {"Answer: " + problem.answer, kRight},
                             {"**Answer:**\n" + problem.answer + "\n<|im_end|>", kRight},
                             {"<think>It is 99.</think>\n" + problem.answer, kRight}});
  });
}

TEST(Tasks, APerturbedReferenceIsWrong) {
  ForAll([](const Task& task, const Problem& problem, int) {
    std::string other = Perturbed(problem.answer);
    // Most numbers of a choice or a range are right: a changed character may leave it right.
    if (task.name == "json")
      other = problem.answer.substr(0, problem.answer.size() - 1) + ",\"x\":1}";
    ExpectVerdicts(problem, {{other, kFalse}, {"", kFalse}, {"I do not know.", kFalse}});
  });
}

TEST(Tasks, AProblemDependsOnSeedIndexAndDifficultyAlone) {
  for (const Task& task : GeneratedTasks()) {
    const Problem first = task.make(5, 3, task.default_difficulty);
    for (uint64_t index = 10; index-- > 0;) task.make(6, index, task.max_difficulty);
    const Problem again = task.make(5, 3, task.default_difficulty);
    EXPECT_EQ(Prompt(first), Prompt(again));
    EXPECT_EQ(first.answer, again.answer);
    EXPECT_EQ(first.data, again.data);
    EXPECT_EQ(first.id, again.id);
    std::set<std::string> prompts;
    for (uint64_t index = 0; index < 30; ++index)
      prompts.insert(Prompt(task.make(5, index, task.default_difficulty)));
    EXPECT_GE(prompts.size(), 6u) << task.name;  // base has few problems to ask for
    for (int difficulty = task.min_difficulty; difficulty < task.max_difficulty; ++difficulty) {
      EXPECT_NE(Prompt(task.make(5, 3, difficulty)), Prompt(task.make(5, 3, difficulty + 1)))
          << task.name << " " << difficulty;
    }
  }
}

// The problems of a seed must not change unnoticed: results of runs are compared by seed.
TEST(Tasks, SeedsKeepTheirProblems) {
  EXPECT_EQ(Prompt(GetTask("add").make(1, 0, 2)), "What is 84 + 13? Reply with the number only.");
  EXPECT_EQ(GetTask("countdown").make(1, 0, 4).answer, "(41 - (44 - 43)) + 36");
}

TEST(Tasks, ABrokenProblemIsInvalidWhateverTheAnswer) {
  for (const Task& task : GeneratedTasks()) {
    const Problem whole = task.make(0, 0, task.default_difficulty);
    Problem broken = whole;
    broken.data = Json::object();
    broken.answer = "?";
    ExpectVerdicts(broken, {{whole.answer, Verdict::kInvalid}, {"", Verdict::kInvalid}});
    broken.data = {{"sorted", 1},     {"grid", "x"},   {"rule", {{"kind", "odd"}}},
                   {"numbers", true}, {"target", "x"}, {"base", "x"},
                   {"kind", 5}};
    ExpectVerdicts(broken, {{whole.answer, Verdict::kInvalid}});
  }
}

TEST(Tasks, NothingInACompletionHarmsAGrader) {
  for (const Task& task : GeneratedTasks()) {
    const Problem problem = task.make(0, 0, task.max_difficulty);
    for (const std::string& completion : HostileCompletions()) {
      EXPECT_NE(task.grade(problem, completion).verdict, Verdict::kCorrect)
          << task.name << " " << completion.substr(0, 20);
    }
  }
}

}  // namespace
}  // namespace lorikeet
