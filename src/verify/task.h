// A `Task` makes problems and grades their completions by program. All functions are pure and
// thread-safe, and their cost is bounded by counts (bytes, nodes, digits), never by a timer: a
// verdict does not depend on the machine.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chat/message.h"
#include "core/json.h"

namespace lorikeet {

enum class Verdict : uint8_t {
  kCorrect,
  kWrong,
  kInvalid,  // cannot be graded: a broken reference, an exhausted budget, a missing reward
};
const char* VerdictName(Verdict verdict);  // "correct", "wrong", "invalid"

// One summand of a weighted sum of rewards (verify/rewards/mix.h).
struct RewardPart {
  std::string name;   // name in metrics
  double reward = 0;  // before weighting; NaN: missing
};

// An invalid completion is removed from its group and counted; it never has a reward of 0.
struct Grade {
  Verdict verdict = Verdict::kInvalid;
  // In [0, 1] for tasks and graders; any finite number for external rewards and sums. Undefined
  // when invalid.
  double reward = 0;
  std::string reason;  // for transcripts: the extracted answer and why it is wrong; one line
  std::vector<RewardPart> parts = {};  // summands of `reward`; empty if it is not a sum
  // Why an outside reward could not be used, in words that are the same for every such
  // reply ("its reward is text"). Empty for late ones, and for those that it calls invalid itself.
  std::string refusal = {};

  static Grade Correct(std::string reason = {}) {
    return {Verdict::kCorrect, 1, std::move(reason)};
  }
  static Grade Wrong(std::string reason) { return {Verdict::kWrong, 0, std::move(reason)}; }
  static Grade Invalid(std::string reason) { return {Verdict::kInvalid, 0, std::move(reason)}; }
};

// clang-tidy does not see that moving JSON never throws.
struct Problem {       // NOLINT(bugprone-exception-escape)
  std::string task;    // name in metrics: a task of GeneratedTasks(), or the data file's name
  std::string grader;  // that task, or a grader of verify/grader.h ("gsm8k:strict")
  std::vector<Message> messages;   // the last one is not the assistant's
  OrderedJson tools;               // for the chat template; null when absent
  OrderedJson template_variables;  // "chat_template_kwargs" of a row; null when absent
  std::string answer;  // reference; one of several right answers (countdown, sudoku4, json)
  Json data;           // an object: data for the task's verifier, or the row's other columns
  std::string id;      // name of the problem in transcripts: "add-0-2-17", "train.jsonl:5"
};

struct Task {
  std::string name;
  std::string summary;             // one line: the question
  std::string difficulty_meaning;  // "digits of each number"
  int min_difficulty = 1, max_difficulty = 1;
  // Default for a chat model of 135M parameters; docs/rl_tasks.md has its scores.
  int default_difficulty = 1;
  // Problem `index` of a seed and a difficulty, a pure function of these. Throws
  // Error(kInvalidArgument) for a difficulty that the task does not have.
  std::function<Problem(uint64_t seed, uint64_t index, int difficulty)> make;
  // Does not throw for any completion. `completion` need not be valid UTF-8.
  std::function<Grade(const Problem&, std::string_view completion)> grade;
};

std::span<const Task> GeneratedTasks();
const Task* FindTask(std::string_view name);  // nullptr if there is none
// Throws Error(kInvalidArgument) that names the nearest task.
const Task& GetTask(std::string_view name);

}  // namespace lorikeet
