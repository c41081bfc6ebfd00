// An `Executor` executes one run of a study, in this process.
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

// A model and its training data, in its own tokens.
struct StudyModel {
  std::string path;
  std::unique_ptr<Model> base;                     // never trained; shared by all LoRA runs
  std::function<std::unique_ptr<Model>()> reload;  // fresh weights for a full fine-tuning run
  DType stored = DType::kBF16;                     // dtype of its matrices on disk
  std::vector<Example> train, heldout;
  // Problems instead of examples, for runs that learn from rewards.
  std::shared_ptr<const StudyProblems> problems;
  std::vector<Problem> heldout_problems;
  double prompt_tokens = 0;  // mean tokens per prompt over the held-out problems
  std::string model_fingerprint, data_fingerprint;

  int64_t LongestExample() const;
  double TokensPerExample() const;
  double TrainedShare() const;  // trained tokens / tokens
};

// The shape of a run, from which its memory and arithmetic follow.
TrainingShape ShapeOf(const RunSpec& spec, const StudyModel& model);
// Bytes that a process uses for the run, its model included.
int64_t MemoryOf(const RunSpec& spec, const StudyModel& model);
// Number of trained parameters of a run.
int64_t TrainableOf(const RunSpec& spec, const StudyModel& model);

struct RunFlops {
  double training = 0, sampling = 0, evaluation = 0;
  double total() const { return training + sampling + evaluation; }
};
// An upper bound with rewards: every completion has max_tokens and every group is trained on; a
// group's prompt counts once.
RunFlops FlopsOf(const RunSpec& spec, const StudyModel& model);

class Executor {
 public:
  using Load = std::function<StudyModel(const std::string& path)>;
  Executor(const Ledger& ledger, Load load) : ledger_(ledger), load_(std::move(load)) {}

  // The model at `path`, loaded once and kept.
  StudyModel& ModelAt(const std::string& path);
  // Executes the run, from its last checkpoint if there is one, and writes its result. A diverged
  // run is finished too. Returns false if `stop` (may be empty) returned true; the run can then be
  // resumed. save_steps: 0: a checkpoint only when stopped. Throws Error for any other failure.
  bool Run(const RunSpec& spec, int64_t save_steps, const std::function<bool()>& stop);

 private:
  const Ledger& ledger_;
  Load load_;
  std::map<std::string, StudyModel> models_;
};

// Removes the checkpoints of a finished run whose process was killed before it did so.
void RemoveLeftovers(const Ledger& ledger, const std::string& id);

inline constexpr int64_t kLabelsPerExample = 4;
// Examples with `labels` random labels in all, which can only be memorised: kLabelsPerExample
// labels per example, after a key of two tokens that no other example has.
std::vector<Example> RandomLabels(int64_t labels, int64_t vocab_size, uint64_t seed);
// Number of different labels.
int64_t LabelChoices(int64_t vocab_size);

}  // namespace lorikeet
