// Tasks whose answers a program can check: what is asked, and what an answer is worth. Everything
// here is a pure function, safe to call from several threads, and of bounded cost by what it counts
// (bytes, nodes, digits), never by a timer: a verdict does not depend on the machine.
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
  kInvalid,  // nobody can say: a broken reference, an exhausted budget, a reward that did not come
};
const char* VerdictName(Verdict verdict);  // "correct", "wrong", "invalid"

// One of several rewards that were added up (verify/rewards/mix.h).
struct RewardPart {
  std::string name;   // as metrics call it
  double reward = 0;  // not yet weighted; NaN: it did not come
};

// An invalid completion leaves its group and is counted; it is never a reward of 0.
struct Grade {
  Verdict verdict = Verdict::kInvalid;
  // Tasks and graders give one in [0, 1]; from outside, and of a sum, any finite number comes. Of
  // no meaning when invalid.
  double reward = 0;
  std::string reason;  // for transcripts: what was read and why it is not right; one line
  std::vector<RewardPart> parts = {};  // what `reward` is the weighted sum of; else empty

  static Grade Correct(std::string reason = {}) {
    return {Verdict::kCorrect, 1, std::move(reason)};
  }
  static Grade Wrong(std::string reason) { return {Verdict::kWrong, 0, std::move(reason)}; }
  static Grade Invalid(std::string reason) { return {Verdict::kInvalid, 0, std::move(reason)}; }
};

// The check does not believe that moving JSON throws nothing.
struct Problem {       // NOLINT(bugprone-exception-escape)
  std::string task;    // what metrics call it: a task of GeneratedTasks(), or the data file's name
  std::string grader;  // who judges: that task, or a grader of verify/grader.h ("gsm8k:strict")
  std::vector<Message> messages;   // the last one is not the assistant's
  OrderedJson tools;               // for the chat template; null when absent
  OrderedJson template_variables;  // "chat_template_kwargs" of a row; null when absent
  std::string answer;  // the reference; of several right answers one (countdown, sudoku4, json)
  Json data;           // an object: what the task's verifier needs, or the row's other columns
  std::string id;      // names the problem in transcripts: "add-0-2-17", "train.jsonl:5"
};

struct Task {
  std::string name;
  std::string summary;             // one line: what is asked
  std::string difficulty_meaning;  // "digits of each number"
  int least = 1, most = 1;         // difficulties
  int usual = 1;  // where a chat model of 135M parameters begins: docs/rl_tasks.md has its scores
  // Problem `index` of a seed and a difficulty; it depends on nothing else. Throws
  // Error(kInvalidArgument) for a difficulty that the task does not have.
  std::function<Problem(uint64_t seed, uint64_t index, int difficulty)> make;
  // Never throws for what a completion holds. `completion` need not be valid UTF-8.
  std::function<Grade(const Problem&, std::string_view completion)> grade;
};

std::span<const Task> GeneratedTasks();
const Task* FindTask(std::string_view name);  // nullptr if there is none
// Throws Error(kInvalidArgument) that names the nearest task.
const Task& GetTask(std::string_view name);

}  // namespace lorikeet
