// The rows of the table of generated tasks (verify/task.cc): one function per file of tasks.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "verify/task.h"
#include "verify/tasks/problem_random.h"

namespace lorikeet {

// A problem without its name.
struct Question {
  std::string prompt;          // the user's message
  std::string answer;          // Problem::answer
  Json data = Json::object();  // Problem::data
};

struct TaskRow {
  const char* name;
  const char* summary;
  const char* difficulty_meaning;
  int min_difficulty, max_difficulty, default_difficulty;
  Question (*make)(ProblemRandom& random, int difficulty);
  // May throw Error or Json's exceptions for a problem that was not made by `make`.
  Grade (*grade)(const Problem& problem, std::string_view completion);
};

std::vector<TaskRow> ArithmeticTasks();  // add, subtract, multiply, chain, gcd
std::vector<TaskRow> EquationTasks();    // equation
std::vector<TaskRow> CountdownTasks();   // countdown
std::vector<TaskRow> BaseTasks();        // base
std::vector<TaskRow> CalendarTasks();    // calendar
std::vector<TaskRow> OrderTasks();       // sort_numbers, sort_words
std::vector<TaskRow> LetterTasks();      // count_letters
std::vector<TaskRow> SudokuTasks();      // sudoku4
std::vector<TaskRow> JsonTasks();        // json

// Different English words of 3 to 10 lower-case letters, in no particular order. Tasks draw from
// them by position: a change makes other problems of the same seed. (verify/tasks/words.cc)
std::span<const std::string_view> CommonWords();

}  // namespace lorikeet
