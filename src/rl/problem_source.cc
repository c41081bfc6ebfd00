#include "rl/problem_source.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "data/epoch.h"

namespace lorikeet {
namespace {

// Rows in the order of their epoch.
class Epochs {
 public:
  Epochs(std::shared_ptr<const std::vector<Problem>> rows, uint64_t seed)
      : rows_(std::move(rows)), seed_(seed) {}
  const Problem& At(int64_t index) {
    const auto n = static_cast<int64_t>(rows_->size());
    if (epoch_ != index / n) {
      epoch_ = index / n;
      order_ = EpochOrder(n, seed_, epoch_);
    }
    return (*rows_)[static_cast<size_t>(order_[static_cast<size_t>(index % n)])];
  }

 private:
  std::shared_ptr<const std::vector<Problem>> rows_;
  uint64_t seed_;
  int64_t epoch_ = -1;
  std::vector<int64_t> order_;  // order of the rows in epoch_
};

}  // namespace

ProblemSource ProblemSource::Generated(std::span<const std::string> tasks,
                                       std::optional<int> difficulty) {
  if (tasks.empty()) Fail(ErrorCode::kInvalidArgument, "task: give at least one");
  ProblemSource source;
  for (const std::string& name : tasks) {
    const Task& task = GetTask(name);
    source.tasks_.emplace_back(&task, difficulty.value_or(task.default_difficulty));
    task.make(0, 0,
              source.tasks_.back().second);  // throws if the task does not have this difficulty
  }
  return source;
}

ProblemSource ProblemSource::Rows(std::vector<Problem> problems) {
  if (problems.empty()) Fail(ErrorCode::kInvalidArgument, "data: there is no problem in it");
  ProblemSource source;
  source.rows_ = std::make_shared<const std::vector<Problem>>(std::move(problems));
  return source;
}

std::function<Problem(int64_t)> ProblemSource::OfSeed(uint64_t seed) const {
  if (rows_ != nullptr) {
    const auto epochs = std::make_shared<Epochs>(rows_, seed);
    return [epochs](int64_t index) { return epochs->At(index); };
  }
  return [tasks = tasks_, seed](int64_t index) {
    const auto n = static_cast<int64_t>(tasks.size());
    const auto& [task, difficulty] = tasks[static_cast<size_t>(index % n)];
    return task->make(seed, static_cast<uint64_t>(index / n), difficulty);
  };
}

std::vector<Problem> ProblemSource::HeldOut(uint64_t seed, int64_t count) const {
  constexpr int64_t kFirst = int64_t{1} << 40;
  std::vector<Problem> problems;
  if (!generated()) return problems;
  const auto at = OfSeed(seed);
  for (int64_t i = 0; i < count; ++i) {
    problems.push_back(at(kFirst * static_cast<int64_t>(tasks_.size()) + i));
  }
  return problems;
}

std::span<const Problem> ProblemSource::rows() const {
  return rows_ == nullptr ? std::span<const Problem>() : std::span<const Problem>(*rows_);
}

std::pair<std::vector<Problem>, std::vector<Problem>> SplitProblems(std::vector<Problem> problems,
                                                                    double share, uint64_t seed) {
  const auto n = static_cast<int64_t>(problems.size());
  const int64_t out = std::llround(share * static_cast<double>(n));
  if (out < 1 || out >= n) {
    Fail(ErrorCode::kInvalidArgument,
         "eval_split {:g} of {} problems leaves none to {}; give eval_data, or another share",
         share, n, out < 1 ? "hold out" : "learn from");
  }
  std::vector<bool> held(problems.size());
  const std::vector<int64_t> order = EpochOrder(n, seed, 0);
  for (int64_t i = 0; i < out; ++i) {
    held[static_cast<size_t>(order[static_cast<size_t>(i)])] = true;
  }
  std::pair<std::vector<Problem>, std::vector<Problem>> split;
  for (size_t i = 0; i < problems.size(); ++i) {
    (held[i] ? split.second : split.first).push_back(std::move(problems[i]));
  }
  return split;
}

std::vector<int32_t> StopTokensOf(const TokenizerBundle& text, int64_t vocab_size) {
  std::vector<int32_t> tokens;
  for (const int32_t id : text.eos_ids) {
    if (id < vocab_size) tokens.push_back(id);
  }
  return tokens;
}

int64_t LongestPrompt(const ChatFormat& format, const std::function<Problem(int64_t)>& problem,
                      int64_t count) {
  constexpr int64_t kMaxInspected = 4096, kMargin = 64;
  size_t longest = 0;
  for (int64_t i = 0; i < std::min(count, kMaxInspected); ++i) {
    longest = std::max(longest, format.MakeGroup(problem(i)).prompt.size());
  }
  return static_cast<int64_t>(longest) + (count > kMaxInspected ? kMargin : 0);
}

int64_t LongestPrompt(const ChatFormat& format, std::span<const Problem> problems) {
  size_t longest = 0;
  for (const Problem& problem : problems) {
    longest = std::max(longest, format.MakeGroup(problem).prompt.size());
  }
  return static_cast<int64_t>(longest);
}

}  // namespace lorikeet
