// The runs of a study on disk: DIR/runs/ID/ holds run.json (settings), metrics.jsonl (a line per
// step and per evaluation) and, once the run is done, result.json. DIR/runs.jsonl has a line per
// finished run.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "study/run_spec.h"
#include "study/statistics.h"

namespace lorikeet {

struct EvalPoint {
  int64_t step = 0;
  double loss = 0;           // held out, nats per trained token
  double solved = kUnknown;  // with rewards: share of the held-out problems, greedily
  // Means over an adapter's modules of the spectral norms of A, B and the scaled product.
  double norm_a = 0, norm_b = 0, norm_update = 0;
};

// A step of a run that learns from rewards: of its samples, before its update.
struct RewardStep {
  double reward = 0;                      // mean of the completions
  double advantage_entropy = 0;           // bits that one of them can tell the trainer, at most
  double mean_length = 0, truncated = 0;  // tokens; share that max_tokens ended
  double logp_difference = 0;             // largest between sampler and trainer, nats
  bool runaway = false;                   // rl/rl_watch.h
  int64_t sampled_tokens = 0, trained_tokens = 0;  // trained: prompts too, without idle groups
};

struct RunRecord {
  RunSpec spec;
  std::string id;
  // A diverged run is data: it says that its learning rate is too high.
  bool diverged = false;
  std::string why;  // it diverged
  int64_t steps = 0;
  std::vector<EvalPoint> evals;          // by step; the first is that of the untrained model
  std::vector<double> losses;            // of every step, before it
  std::vector<RewardStep> reward_steps;  // of every step; empty for runs on examples
  std::vector<double> step_seconds;
  // With rewards `trained_tokens` are those of the completions.
  int64_t trainable = 0, tokens = 0, trained_tokens = 0, eval_tokens = 0;
  double flops_per_token = 0;  // of a training step
  double sampling_flops = 0;   // of all steps, with rewards
  double eval_seconds = 0;
  int64_t peak_bytes = 0;  // resident, of the process that made it
  Json facts;              // of the model: hidden_size, parameters, model_type; more of the run

  double TrainSeconds() const;  // sampling included
  double TrainFlops() const {
    return flops_per_token * static_cast<double>(tokens) + sampling_flops;
  }
  // What a sweep minimises. Held-out loss at a step that was evaluated; not a number otherwise. A
  // diverged run that did not come so far counts with its last loss or the untrained model's,
  // whichever is higher. With rewards: 1 - RewardAt(step).
  double LossAt(int64_t step) const;
  // Mean reward of the spec's final_steps up to this one, of fewer at the beginning; at 0 that of
  // the first step, whose samples are the untrained model's. Steps that a diverged run did not come
  // to count 0: its policy answers nothing. Not a number beyond the steps of other runs.
  double RewardAt(int64_t step) const;
  double FinalLoss() const { return LossAt(spec.steps()); }
};

class Ledger {
 public:
  explicit Ledger(std::string dir) : dir_(std::move(dir)) {}
  const std::string& dir() const { return dir_; }
  std::string RunDir(const std::string& id) const { return dir_ + "/runs/" + id; }

  bool Has(const std::string& id) const;  // finished
  // Nothing when it is not finished. Throws Error naming a file that does not hold what it should.
  std::optional<RunRecord> Read(const std::string& id) const;
  std::vector<RunRecord> ReadAll() const;
  // Adds what the run's metrics.jsonl tells, finished or not.
  void ReadMetrics(const std::string& id, RunRecord* record) const;
  // Settings of a run that begins.
  void Begin(const RunSpec& spec) const;
  // The run is finished with this; whole or not at all. evals and losses are in metrics.jsonl.
  void Finish(const RunRecord& record) const;
  // runs.jsonl, a line per finished run in order of their IDs.
  void WriteIndex() const;

 private:
  std::string dir_;
};

// A run in the hands of one process at a time; let go when the process ends, however it ends.
class RunLock {
 public:
  RunLock(const Ledger& ledger, const std::string& id);
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;
  bool held() const { return held_; }

 private:
  int fd_ = -1;
  bool held_ = false;
};

}  // namespace lorikeet
