// A `ProblemSource` yields the training and held-out problems of a run.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "rl/rollout.h"
#include "verify/task.h"

namespace lorikeet {

// Problems of generated tasks in turn, or rows of files, shuffled by the seed in every epoch.
class ProblemSource {
 public:
  // `difficulty` holds for all tasks; without it each has its own default. Throws
  // Error(kInvalidArgument) for an unknown task or difficulty, and for no task.
  static ProblemSource Generated(std::span<const std::string> tasks, std::optional<int> difficulty);
  // Throws Error(kInvalidArgument) if `problems` is empty.
  static ProblemSource Rows(std::vector<Problem> problems);

  // The training problems of a run: a pure function of the seed and the index, which starts at 0.
  // The returned function is not thread-safe.
  std::function<Problem(int64_t index)> OfSeed(uint64_t seed) const;
  // Generated problems at indices that training never reaches; empty for rows.
  std::vector<Problem> HeldOut(uint64_t seed, int64_t count) const;
  bool generated() const { return rows_ == nullptr; }
  // The rows, in the order of the files; empty for generated problems.
  std::span<const Problem> rows() const;

 private:
  ProblemSource() = default;
  std::vector<std::pair<const Task*, int>> tasks_;  // task, difficulty
  std::shared_ptr<const std::vector<Problem>> rows_;
};

// Holds out a `share` of the problems, chosen by the seed: {kept, held out}. Throws
// Error(kInvalidArgument) if either would be empty.
std::pair<std::vector<Problem>, std::vector<Problem>> SplitProblems(std::vector<Problem> problems,
                                                                    double share, uint64_t seed);

// The tokenizer's end-of-turn tokens within the model's vocabulary.
std::vector<int32_t> StopTokensOf(const TokenizerBundle& text, int64_t vocab_size);

// Tokens of the longest prompt of the first `count` problems. Beyond 4096 problems this is an
// estimate: the longest of the first 4096, and a margin of 64 tokens.
int64_t LongestPrompt(const ChatFormat& format,
                      const std::function<Problem(int64_t index)>& problem, int64_t count);
int64_t LongestPrompt(const ChatFormat& format, std::span<const Problem> problems);

}  // namespace lorikeet
