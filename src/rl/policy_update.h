// Policy updates from one batch of graded completions.
#pragma once
#include <cstdint>
#include <optional>
#include <span>

#include "rl/objective.h"
#include "train/guarded_run.h"

namespace lorikeet {

struct UpdateConfig {
  Objective objective;
  OptimParams optim;  // grad_divisor is set from each mini-batch
  // Each pass visits every group once, in `minibatches` optimizer steps. Only the first step of a
  // batch is on-policy; the last one lags by passes x minibatches - 1 updates.
  int64_t passes = 1, minibatches = 1;
  // Ends the batch before an update if RatioStats::kl is above this value; 0: never.
  double target_kl = 0;
  bool measure_base_kl = false;  // measure the KL to the base, if the run has a reference
};

struct UpdateReport {
  int64_t updates = 0;            // number of optimizer steps
  bool stopped = false;           // ended early by target_kl
  RatioStats first, last;         // at the first update, which is on-policy, and at the last one
  double loss = 0;                // loss at the first update
  double grad_norm = 0;           // mean over updates, before clipping
  std::optional<double> base_kl;  // mean over tokens of exp(d) - 1 - d, d = logp_base - logq, nats
  int64_t tokens = 0;             // tokens computed by the forwards and backwards
};

// Without a KL penalty, groups without signal count only in the divisor; if no group has signal,
// weights and moments do not change. Throws Error(kDiverged) if a loss or gradient is not finite.
UpdateReport UpdatePolicy(GuardedRun& run, std::span<const Group> groups,
                          const UpdateConfig& config);

}  // namespace lorikeet
