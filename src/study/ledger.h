// A `Ledger` holds the runs of a study on disk: DIR/runs/ID/ has run.json (settings), metrics.jsonl
// (a line per step and per evaluation) and, once the run is finished, result.json. DIR/runs.jsonl
// has a line per finished run.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/folder_lock.h"
#include "core/json.h"
#include "model/weights.h"
#include "study/run_spec.h"
#include "study/statistics.h"

namespace lorikeet {

struct EvalPoint {
  int64_t step = 0;
  double loss = 0;           // held-out loss, nats per trained token
  double solved = kUnknown;  // with rewards: share of held-out problems solved by greedy decoding
  // Means over an adapter's modules of the spectral norms of A, B and the scaled product.
  double norm_a = 0, norm_b = 0, norm_update = 0;
};

// Figures of one step of a run that learns from rewards: of its samples, before its update.
struct RewardStep {
  double reward = 0;                      // mean over completions
  double advantage_entropy = 0;           // upper bound on the information per completion, bits
  double mean_length = 0, truncated = 0;  // tokens; share of completions cut off at max_tokens
  double logp_difference = 0;             // maximum difference between sampler and trainer, nats
  bool runaway = false;                   // rl/rl_monitor.h
  int64_t sampled_tokens = 0;
  int64_t trained_tokens = 0;  // with prompts, without idle groups
};

struct RunRecord {
  RunSpec spec;
  std::string id;
  // A diverged run is data: its learning rate is too high.
  bool diverged = false;
  std::string why;  // reason of the divergence
  int64_t steps = 0;
  std::vector<EvalPoint> evals;          // by step; the first is the untrained model's
  std::vector<double> losses;            // training loss of every step, before its update
  std::vector<RewardStep> reward_steps;  // one per step; empty for runs on examples
  std::vector<double> step_seconds;
  // With rewards `trained_tokens` counts the tokens of the completions.
  int64_t trainable = 0, tokens = 0, trained_tokens = 0, eval_tokens = 0;
  double flops_per_token = 0;  // FLOPs per token of a training step
  double sampling_flops = 0;   // total over all steps, with rewards
  double eval_seconds = 0;
  int64_t peak_bytes = 0;  // peak resident memory of the run's process
  Json facts;  // facts of the model (hidden_size, parameters, model_type) and of the run

  double TrainSeconds() const;  // includes sampling
  double TrainFlops() const {
    return flops_per_token * static_cast<double>(tokens) + sampling_flops;
  }
  // The cost that a sweep minimises: held-out loss at an evaluated step; not a number at others. A
  // run that diverged before `step` counts with its last loss or the untrained model's, whichever
  // is higher. With rewards: 1 - RewardAt(step).
  double LossAt(int64_t step) const;
  // Mean reward over the spec's final_steps up to this one, over fewer at the beginning; at 0 that
  // of the first step, whose samples are the untrained model's. Steps that a diverged run did not
  // reach count 0: its policy gives no completions. Not a number beyond the last step of other
  // runs.
  double RewardAt(int64_t step) const;
  double FinalLoss() const { return LossAt(spec.steps()); }
};

class Ledger {
 public:
  explicit Ledger(std::string dir) : dir_(std::move(dir)) {}
  const std::string& dir() const { return dir_; }
  std::string RunDir(const std::string& id) const { return dir_ + "/runs/" + id; }

  bool Has(const std::string& id) const;  // true if the run is finished
  // Nothing if the run is not finished. Throws Error that names a file with invalid content.
  std::optional<RunRecord> Read(const std::string& id) const;
  std::vector<RunRecord> ReadAll() const;
  // Whether a run, finished or not, is of the model with this fingerprint.
  bool HasRunOf(const std::string& model_fingerprint) const;
  // Adds the content of the run's metrics.jsonl, finished or not.
  void ReadMetrics(const std::string& id, RunRecord* record) const;
  // Writes run.json, the settings of a run that begins.
  void Begin(const RunSpec& spec) const;
  // Writes result.json atomically, which finishes the run. evals and losses are in metrics.jsonl.
  void Finish(const RunRecord& record) const;
  // Writes runs.jsonl, a line per finished run in order of their IDs.
  void WriteIndex() const;

 private:
  std::string dir_;
};

// The fingerprint by which the runs of a study name a model (RunSpec::model_fingerprint): that of
// all of its bytes. In a folder with runs of a version that knew the model by a sample of its bytes
// only, and with no others of it, the sample's, so that the study continues.
std::string FingerprintIn(const Ledger& ledger, const Model& model);

// A lock on a run for one process at a time; released when the process ends, however it ends.
class RunLock {
 public:
  RunLock(const Ledger& ledger, const std::string& id);
  bool held() const { return lock_.held(); }

 private:
  FolderLock lock_;
};

}  // namespace lorikeet
