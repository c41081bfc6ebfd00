// The speed of training steps on this machine, against its matmul peak measured between them:
// `lorikeet bench train`.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/json.h"
#include "core/profile.h"
#include "model/memory_plan.h"
#include "model/weights.h"

namespace lorikeet {

// Of several measurements.
struct Spread {
  double least = 0, median = 0, most = 0;
};
Spread SpreadOf(std::vector<double> values);
OrderedJson SpreadJson(const Spread& spread);

struct TrainBenchQuery {
  TrainingShape shape;       // tokens_per_microbatch and sequence_length are set from the two below
  int64_t tokens = 2048;     // of a step
  int64_t max_length = 512;  // of the sequences that they are cut into
  int64_t micro_batch = 0;   // tokens computed at once; 0: the whole step
  int64_t warmup = 2, steps = 10;
  bool profile = false;  // also: where a step's time goes
};

struct TrainBenchResult {
  TrainBenchQuery query;
  int64_t parameters = 0, trainable = 0;
  Spread step_seconds, peak_gflops;
  double mean_step_seconds = 0;
  std::vector<Profile::Part> parts;  // over all steps; empty without profile
  FlopsPerToken flops;
  int64_t arena_bytes = 0, peak_rss_bytes = 0;
  double first_loss = 0, last_loss = 0;  // nats per token of random tokens, all of them trained

  double TokensPerSecond() const;
  double Utilization() const;
};

// Steps of forward, backward and AdamW over random tokens; between two steps the peak is measured,
// so that both see the same machine. Median step against median peak. Throws Error.
TrainBenchResult BenchTrain(Model& model, const TrainBenchQuery& query);

std::string TrainBenchText(const TrainBenchResult& result);
OrderedJson TrainBenchJson(const TrainBenchResult& result);

}  // namespace lorikeet
