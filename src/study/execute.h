// Makes one run of a study, in this process.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "data/example.h"
#include "model/weights.h"
#include "plan/memory_plan.h"
#include "study/ledger.h"
#include "study/reward_run.h"

namespace lorikeet {

// A model with the data that it learns, in its own tokens.
struct StudyModel {
  std::string path;
  std::unique_ptr<Model> base;                     // never trained: the runs with adapters share it
  std::function<std::unique_ptr<Model>()> reload;  // weights for a run that trains them all
  DType stored = DType::kBF16;                     // of its matrices on disk
  std::vector<Example> train, heldout;
  // Instead of examples, for runs that learn from rewards.
  std::shared_ptr<const StudyProblems> problems;
  std::vector<Problem> heldout_problems;
  double prompt_tokens = 0;  // of a prompt, the mean over those held out
  std::string model_print, data_print;

  int64_t LongestExample() const;
  double TokensPerExample() const;
  double TrainedShare() const;  // of the tokens
};

// What memory and arithmetic of a run depend on.
TrainingShape ShapeOf(const RunSpec& spec, const StudyModel& model);
// Bytes that a process holds for the run, its model included.
int64_t MemoryOf(const RunSpec& spec, const StudyModel& model);
// Trained parameters of a run.
int64_t TrainableOf(const RunSpec& spec, const StudyModel& model);

struct RunFlops {
  double training = 0, sampling = 0, evaluation = 0;
  double total() const { return training + sampling + evaluation; }
};
// With rewards: as if every completion had max_tokens and every group were trained on; a group's
// prompt counts once.
RunFlops FlopsOf(const RunSpec& spec, const StudyModel& model);

class Executor {
 public:
  using Load = std::function<StudyModel(const std::string& path)>;
  Executor(const Ledger& ledger, Load load) : ledger_(ledger), load_(std::move(load)) {}

  // Loaded once and kept.
  StudyModel& ModelAt(const std::string& path);
  // Makes the run, from its last checkpoint if there is one, and writes its result. A run that
  // diverges is finished too. Returns false when `stop` (may be empty) said so; the run can then be
  // gone on with. save_steps: 0: a checkpoint only when stopped. Throws Error for anything else.
  bool Run(const RunSpec& spec, int64_t save_steps, const std::function<bool()>& stop);

 private:
  const Ledger& ledger_;
  Load load_;
  std::map<std::string, StudyModel> models_;
};

inline constexpr int64_t kLabelsPerExample = 4;
// Examples whose labels are drawn at random, so that nothing but memory predicts them: `labels` of
// them, kLabelsPerExample to an example after a key of two tokens that no other example has.
std::vector<Example> RandomLabels(int64_t labels, int64_t vocab_size, uint64_t seed);
// Each label is one of so many.
int64_t LabelChoices(int64_t vocab_size);

}  // namespace lorikeet
