// Where the problems of a run come from, and how they are put to the model.
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

// Generated tasks in turn, or the rows of files epoch by epoch in an order of the seed's.
class ProblemSource {
 public:
  // difficulty: of all tasks; nothing: each one's own. Throws Error(kInvalidArgument) for names and
  // difficulties that there are not, and for no name at all.
  static ProblemSource Generated(std::span<const std::string> tasks, std::optional<int> difficulty);
  // Throws Error(kInvalidArgument) if there are none.
  static ProblemSource Rows(std::vector<Problem> problems);

  // The training problems of a run: a pure function of its seed and the index, from 0 on. One
  // function is for one thread at a time.
  std::function<Problem(int64_t index)> OfSeed(uint64_t seed) const;
  // Generated problems where no run's training comes, of whatever seed. Rows have none.
  std::vector<Problem> HeldOut(uint64_t seed, int64_t count) const;
  bool generated() const { return rows_ == nullptr; }
  // Of files; empty for generated ones.
  std::span<const Problem> rows() const;

 private:
  ProblemSource() = default;
  std::vector<std::pair<const Task*, int>> tasks_;  // with their difficulties
  std::shared_ptr<const std::vector<Problem>> rows_;
};

// `share` of the rows, above 0, chosen by the seed: {kept, held out}. Throws
// Error(kInvalidArgument) if either would be empty.
std::pair<std::vector<Problem>, std::vector<Problem>> SplitProblems(std::vector<Problem> problems,
                                                                    double share, uint64_t seed);

// The tokens that end an answer, of those that the model knows.
std::vector<int32_t> StopTokensOf(const TokenizerBundle& text, int64_t vocab_size);

// Tokens of the longest prompt of the first `count` problems, as far as can be seen beforehand: of
// many only the first are looked at, and some room is added.
int64_t LongestPrompt(const PromptWriter& writer,
                      const std::function<Problem(int64_t index)>& problem, int64_t count);
int64_t LongestPrompt(const PromptWriter& writer, std::span<const Problem> problems);

}  // namespace lorikeet
