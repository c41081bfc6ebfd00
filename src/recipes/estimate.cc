#include "recipes/estimate.h"

#include <algorithm>
#include <cmath>

#include "recipes/prepare.h"

namespace lorikeet {
namespace {

int64_t StepsOf(const EstimateQuery& query) {
  if (!query.data) return 0;
  const double examples =
      static_cast<double>(query.data->examples) * query.run.steps.num_train_epochs;
  return std::max<int64_t>(
      1,
      static_cast<int64_t>(std::ceil(examples / static_cast<double>(query.run.steps.batch_size))));
}

double TrainedFraction(const EstimateQuery& query) {
  if (!query.data || query.data->tokens == 0) return 1;
  return static_cast<double>(query.data->trained_tokens) / static_cast<double>(query.data->tokens);
}

TrainingShape ShapeFor(const EstimateQuery& query, Method method) {
  TrainingShape shape = query.shape;
  shape.method = method;
  if (query.data) {
    shape.sequence_length = std::max<int64_t>(1, std::llround(query.data->attended_length));
  }
  return shape;
}

MethodEstimate EstimateMethod(const EstimateQuery& query, Method method, int64_t steps) {
  TrainingShape shape = ShapeFor(query, method);
  const MemoryAtHand memory = {.available = query.memory_available};
  MethodEstimate e;
  e.trainable = CountTrainable(query.config, shape);
  e.recompute = ChooseRecompute(query.config, shape, query.stored,
                                ParseRecompute(query.run.steps.recompute), memory);
  shape.recompute = e.recompute.recompute;
  e.memory_bytes = static_cast<int64_t>(TotalBytes(e.recompute.memory));
  e.fits = memory.Holds(e.recompute.memory);
  e.flops = TrainingFlops(query.config, shape, TrainedFraction(query));
  const double rate = query.peak_gflops * 1e9 * query.utilization;
  e.seconds_per_1000_tokens = 1000 * e.flops.total() / rate;
  if (query.data) {
    e.run_seconds = e.seconds_per_1000_tokens / 1000 * static_cast<double>(query.data->tokens) *
                    query.run.steps.num_train_epochs;
  }
  const DType saved = IsQuantised(query.stored) ? DType::kBF16 : query.stored;
  e.saved_bytes = DTypeBytes(method == Method::kLora ? DType::kF32 : saved, e.trainable);
  Run run = query.run;
  run.adapter.method = method == Method::kLora ? "lora" : "full";
  e.learning_rate = DefaultLearningRate(LearningRateQueryOf(run, query.config, steps));
  return e;
}

std::vector<MemoryPart> SamplingMemory(const EstimateQuery& query) {
  TrainingShape shape = query.shape;
  shape.method = Method::kLora;
  shape.tokens_per_microbatch = std::max<int64_t>(512, query.sequences);
  return PlanSamplingMemory(query.config, shape, query.stored, query.sequences, query.max_length);
}

Capacity CapacityOf(const EstimateQuery& query, int64_t trained_tokens, int64_t trainable) {
  // A rank that every expert has a whole part of: parameters are in proportion to it.
  const int64_t unit = std::max<int64_t>(1, query.config.num_experts_per_tok);
  TrainingShape one = query.shape;
  one.lora_r = static_cast<int>(unit);
  one.lora_expert_rank = 0;
  const int64_t per_unit = CountTrainable(query.config, one);
  Capacity c;
  c.trained_tokens = trained_tokens;
  c.data_bits = kBitsPerToken * static_cast<double>(c.trained_tokens);
  c.adapter_bits = kBitsPerParameter * static_cast<double>(trainable);
  c.parameters_cover_tokens = trainable >= c.trained_tokens;
  c.smallest_rank = std::max<int64_t>(1, (c.trained_tokens + per_unit - 1) / per_unit) * unit;
  return c;
}

std::vector<EqualRank> EqualRanks(const EstimateQuery& query, int64_t trainable) {
  std::vector<EqualRank> ranks;
  for (const char* modules : {"attention", "mlp", "all-linear"}) {
    TrainingShape shape = query.shape;
    shape.target_modules = {modules};
    const int64_t unit =
        modules == std::string("attention")
            ? 1
            : std::max<int64_t>(1, query.config.num_experts_per_tok);  // as in CapacityOf
    shape.lora_r = static_cast<int>(unit);
    shape.lora_expert_rank = 0;
    const int64_t per_unit = CountTrainable(query.config, shape);
    const int64_t units = std::max<int64_t>(1, (trainable + per_unit / 2) / per_unit);
    ranks.push_back({modules, units * unit, units * per_unit});
  }
  return ranks;
}

}  // namespace

Estimate MakeEstimate(const EstimateQuery& query) {
  Estimate e;
  e.query = query;
  e.query.shape.method = Method::kLora;
  e.query.shape.recompute = Recompute::kNone;
  e.parameters = CountParameters(query.config);
  e.steps = StepsOf(query);
  e.lora = EstimateMethod(query, Method::kLora, e.steps);
  e.full = EstimateMethod(query, Method::kFull, e.steps);
  e.sampling = SamplingMemory(e.query);
  e.sampling_bytes = static_cast<int64_t>(TotalBytes(e.sampling));
  if (query.data || query.trained_tokens) {
    const int64_t tokens = query.data ? query.data->trained_tokens : *query.trained_tokens;
    e.capacity = CapacityOf(e.query, tokens, e.lora.trainable);
  }
  e.equal_ranks = EqualRanks(e.query, e.lora.trainable);
  return e;
}

}  // namespace lorikeet
