#include "verify/task.h"

#include <fmt/core.h>

#include <algorithm>
#include <exception>
#include <iterator>

#include "core/error.h"
#include "core/suggest.h"
#include "verify/tasks/rows.h"

namespace lorikeet {
namespace {

Problem Named(const TaskRow& row, Question question, uint64_t seed, uint64_t index,
              int difficulty) {
  Problem problem;
  problem.task = problem.grader = row.name;
  problem.id = fmt::format("{}-{}-{}-{}", row.name, seed, difficulty, index);
  problem.messages.push_back({"user", std::move(question.prompt), OrderedJson::object()});
  problem.answer = std::move(question.answer);
  problem.data = std::move(question.data);
  return problem;
}

Problem Make(const TaskRow& row, uint64_t seed, uint64_t index, int difficulty) {
  if (difficulty < row.min_difficulty || difficulty > row.max_difficulty) {
    Fail(ErrorCode::kInvalidArgument, "task {}: no difficulty {}; choose {} to {} ({})", row.name,
         difficulty, row.min_difficulty, row.max_difficulty, row.difficulty_meaning);
  }
  ProblemRandom random(seed, fmt::format("{}:{}", row.name, difficulty), index);
  return Named(row, row.make(random, difficulty), seed, index, difficulty);
}

// A problem that was altered or made elsewhere may not have the data that the verifier needs: it
// cannot be graded.
Grade GradeGuarded(const TaskRow& row, const Problem& problem, std::string_view completion) {
  try {
    return row.grade(problem, completion);
  } catch (const std::exception& error) {
    return Grade::Invalid(fmt::format("{}: {}", problem.id, error.what()));
  }
}

Task FromRow(const TaskRow& row) {
  Task task;
  task.name = row.name;
  task.summary = row.summary;
  task.difficulty_meaning = row.difficulty_meaning;
  task.min_difficulty = row.min_difficulty;
  task.max_difficulty = row.max_difficulty;
  task.default_difficulty = row.default_difficulty;
  task.make = [row](uint64_t seed, uint64_t index, int difficulty) {
    return Make(row, seed, index, difficulty);
  };
  task.grade = [row](const Problem& problem, std::string_view completion) {
    return GradeGuarded(row, problem, completion);
  };
  return task;
}

std::vector<Task> AllTasks() {
  std::vector<Task> tasks;
  for (const auto rows : {ArithmeticTasks, EquationTasks, CountdownTasks, BaseTasks, CalendarTasks,
                          OrderTasks, LetterTasks, SudokuTasks, JsonTasks}) {
    std::ranges::transform(rows(), std::back_inserter(tasks), FromRow);
  }
  return tasks;
}

}  // namespace

const char* VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kCorrect:
      return "correct";
    case Verdict::kWrong:
      return "wrong";
    case Verdict::kInvalid:
      return "invalid";
  }
  return "?";
}

std::span<const Task> GeneratedTasks() {
  static const std::vector<Task> tasks = AllTasks();
  return tasks;
}

const Task* FindTask(std::string_view name) {
  for (const Task& task : GeneratedTasks()) {
    if (task.name == name) return &task;
  }
  return nullptr;
}

const Task& GetTask(std::string_view name) {
  if (const Task* task = FindTask(name)) return *task;
  std::vector<std::string> names;
  for (const Task& task : GeneratedTasks()) names.push_back(task.name);
  const std::string hint = DidYouMean(name, names);
  std::string known;
  if (hint.empty()) {
    for (const std::string& each : names) known += (known.empty() ? "; there are " : ", ") + each;
  }
  Fail(ErrorCode::kInvalidArgument, "no task '{}'{}{}", name, hint, known);
}

}  // namespace lorikeet
