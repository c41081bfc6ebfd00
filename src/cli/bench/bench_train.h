// `lorikeet bench train`: the speed of training steps, against the machine's matmul peak measured
// between them.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/bench/bench_profile.h"
#include "cli/bench/bench_report.h"
#include "core/json.h"
#include "model/weights.h"
#include "plan/memory_plan.h"
#include "recipes/run.h"

namespace lorikeet {

struct TrainBenchQuery {
  Run run;                   // only its adapter and recompute
  TrainingShape shape;       // made from `run` and the fields below
  int64_t tokens = 2048;     // tokens per step
  int64_t max_length = 512;  // tokens per sequence
  int64_t micro_batch = 0;   // tokens computed at once; 0: the whole step
  // As in reinforcement learning: groups of group_size sequences begin with the same shared_prompt
  // tokens, which are not trained.
  int64_t shared_prompt = 0, group_size = 1;
  int64_t warmup = 2, steps = 10;
  bool profile = false;  // true: also the time of a step by part
};

struct TrainBenchResult {
  TrainBenchQuery query;
  std::string recompute_reason;
  int64_t parameters = 0, trainable = 0;
  Spread step_seconds, peak_gflops;
  double mean_step_seconds = 0;
  Spread read_gbs;                     // only with query.profile
  std::optional<StepProfile> profile;  // only with query.profile
  FlopsPerToken flops;
  int64_t arena_bytes = 0, peak_rss_bytes = 0;
  double first_loss = 0, last_loss = 0;  // nats per trained token, on random tokens

  double TokensPerSecond() const;
  double Utilization() const;
};

// Runs forward, backward and AdamW over random tokens; the peak is measured between the steps,
// under the same load. Median step against median peak. Throws Error.
TrainBenchResult BenchTrain(Model& model, const TrainBenchQuery& asked);

std::string TrainBenchText(const TrainBenchResult& result);
OrderedJson TrainBenchJson(const TrainBenchResult& result);

}  // namespace lorikeet
