// `lorikeet estimate`: memory and time of a run, of LoRA and of full fine-tuning, and the adapter's
// capacity compared with the information in the data. Formulas of "LoRA Without Regret" (Schulman
// and Thinking Machines Lab, 2025).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "plan/memory_plan.h"
#include "recipes/recompute.h"
#include "recipes/run.h"
#include "train/learning_rate.h"

namespace lorikeet {

// The facts about the data that an estimate needs.
struct DataFacts {
  std::string path;
  int64_t examples = 0, tokens = 0, trained_tokens = 0;
  double attended_length = 0;  // mean length of the sequence that a token is in
};

struct EstimateQuery {
  std::string model;
  ModelConfig config;
  DType stored = DType::kBF16;
  Run run;              // recompute may be auto: chosen for each method
  TrainingShape shape;  // shape of the LoRA run; the full one differs in method and recompute
  int64_t max_length = 2048;
  std::optional<DataFacts> data = {};
  std::optional<int64_t> trained_tokens = {};  // number of trained tokens, if no data is given
  int64_t sequences = 8;                       // number of sequences sampled at once
  double peak_gflops = 0;
  bool peak_measured = true;
  double utilization = 0.5;
  int64_t memory_available = 0;
};

struct MethodEstimate {
  int64_t trainable = 0;
  RecomputeChoice recompute;  // with its memory by part
  int64_t memory_bytes = 0;
  bool fits = false;
  FlopsPerToken flops;
  double seconds_per_1000_tokens = 0;
  int64_t saved_bytes = 0;  // size of the saved adapter, or of the model's weights
  std::optional<double> run_seconds = {};
  LearningRateAdvice learning_rate;
};

// Capacity in bits: an adapter stores at most about 2 per parameter, and a first pass over the data
// provides at most about 1 per trained token.
struct Capacity {
  int64_t trained_tokens = 0;
  double data_bits = 0, adapter_bits = 0;
  bool parameters_cover_tokens = false;  // the rule: parameters >= trained tokens
  int64_t smallest_rank = 0;             // smallest rank by that rule, for the same modules
};

struct EqualRank {
  std::string modules;
  int64_t r = 0;
  int64_t parameters = 0;
};

struct Estimate {
  EstimateQuery query;
  int64_t parameters = 0;
  MethodEstimate lora, full;
  std::vector<MemoryPart> sampling;
  int64_t sampling_bytes = 0;
  int64_t steps = 0;  // number of steps of the run; 0 without data
  std::optional<Capacity> capacity = {};
  std::vector<EqualRank> equal_ranks;  // for other modules, with as many parameters as the adapter
};

inline constexpr double kBitsPerParameter = 2;
inline constexpr double kBitsPerToken = 1;

Estimate MakeEstimate(const EstimateQuery& query);

std::string EstimateText(const Estimate& estimate);
OrderedJson EstimateJson(const Estimate& estimate);

}  // namespace lorikeet
