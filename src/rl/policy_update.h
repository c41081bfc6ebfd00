// Policy updates from one batch of rewarded completions.
#pragma once
#include <cstdint>
#include <optional>
#include <span>

#include "rl/objective.h"
#include "train/guarded_run.h"

namespace lorikeet {

struct UpdateConfig {
  Objective objective;
  OptimParams optim;  // but for grad_divisor, which the batch sets
  // Each pass goes over the groups once, in `minibatches` optimizer steps. Only the first step of a
  // batch is on-policy: the last one lags by passes x minibatches - 1 updates.
  int64_t passes = 1, minibatches = 1;
  // Ends the batch before an update whose policy is further than this from the sampler (its
  // PolicyDistance::kl); 0: never.
  double target_kl = 0;
  bool measure_base_kl = false;  // KL to the policy that training began with, if there is one
};

struct UpdateReport {
  int64_t updates = 0;            // optimizer steps; the lag of the last is updates - 1
  bool stopped = false;           // by target_kl
  PolicyDistance first, last;     // at the first update, where all is 0 and 1, and at the last
  double loss = 0;                // of the first update
  double grad_norm = 0;           // mean over updates, before clipping
  std::optional<double> base_kl;  // mean over tokens of exp(d) - 1 - d, d = logp_base - logq, nats
  int64_t tokens = 0;             // through forward and backward
};

// Groups without signal teach nothing; when none has any, nothing is updated and the moments stay.
// Throws Error(kDiverged) for losses and gradients that are not finite.
UpdateReport UpdatePolicy(GuardedRun& run, std::span<const Group> groups,
                          const UpdateConfig& config);

}  // namespace lorikeet
