// A `RunSpec` holds the settings of one run of a study: a `Run` (recipes/run.h) with its model and
// data. It alone decides the numbers, so two runs of the same spec are the same run, whichever
// study they belong to.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "recipes/run.h"

namespace lorikeet {

struct RunSpec {
  // Model and data. They are identified by the fingerprints, not by the path.
  std::string model;                                // path
  std::string model_fingerprint, data_fingerprint;  // train/run_settings.h
  std::string dtype = "f32";                        // dtype of products
  int64_t random_labels = 0;  // > 0: learn so many random tokens instead of the data
  // Its objective is Sft or, to learn from rewards, Rl; with Rl, data_fingerprint covers the
  // problems, their format as prompts and the held-out ones. steps.max_steps is always set.
  Run run = StudyRun();
  std::vector<int64_t> eval_at;  // steps to evaluate at, besides the first and the last
  // Number of last steps whose mean reward is the result of a run with rewards. It does not change
  // the run, so it is not part of its ID.
  int64_t final_steps = 1;

  const Rl* rewards() const { return run.rl(); }
  Rl* rewards() { return run.rl(); }
  bool full() const { return run.adapter.full(); }
  int64_t steps() const { return run.steps.max_steps.value_or(0); }
  uint64_t seed() const { return static_cast<uint64_t>(run.steps.seed); }
  double learning_rate() const { return run.optimizer.learning_rate.value_or(0); }

  // "full", "LoRA rank 4", "LoRA rank 4 on mlp", "LoRA rank 4, 1 in each expert"
  std::string MethodName() const;
  std::string ModulesName() const;  // "full", "mlp", "all-linear, shared outer factors"

 private:
  static Run StudyRun();
};

Json ToJson(const RunSpec& spec);
// Throws Error(kCorruptFile) naming `where`.
RunSpec RunSpecFromJson(const Json& json, const std::string& where);

// 16 hexadecimal digits over everything but the model's path and final_steps.
std::string RunId(const RunSpec& spec);
// Equal for runs that differ in learning rate, seed or path only: one condition of a sweep.
std::string ConditionKey(const RunSpec& spec);

// 0, 1 and then about `points` steps in equal ratios up to `steps`.
std::vector<int64_t> LogSpacedSteps(int64_t steps, int64_t points);

}  // namespace lorikeet
