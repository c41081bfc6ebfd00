#include "cli/bench/bench_train.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <numeric>

#include "core/error.h"
#include "core/format.h"
#include "core/machine.h"
#include "core/profile.h"
#include "core/random.h"
#include "engine/read_model.h"
#include "plan/machine_probe.h"
#include "recipes/prepare.h"
#include "recipes/recompute.h"
#include "train/training_run.h"

namespace lorikeet {
namespace {

constexpr int kPeakRepetitions = 3;  // the best counts, since a step has the caches to itself too
// Small enough that training on random tokens leaves the loss near its first value.
constexpr double kLearningRate = 1e-5;

// A step's tokens in sequences of max_length, the last one shorter; all rows after a shared prompt
// are trained.
std::vector<Example> RandomExamples(const TrainBenchQuery& query, int64_t vocab_size) {
  const RandomStream random(1, "bench train");
  std::vector<Example> examples;
  for (int64_t begin = 0; begin < query.tokens; begin += query.max_length) {
    const int64_t n = std::min(query.max_length, query.tokens - begin);
    const int64_t group = begin / (query.max_length * query.group_size);
    const int64_t shared = std::min(query.shared_prompt, n - 1);
    const auto token = [&](int64_t i) {
      const int64_t from = i < shared ? group * query.max_length * query.group_size : begin;
      return static_cast<int32_t>(
          random.Below(static_cast<uint64_t>(from + i), static_cast<uint64_t>(vocab_size)));
    };
    Example example;
    for (int64_t i = 0; i < n; ++i) {
      example.tokens.push_back(token(i));
      example.target_tokens.push_back(token(i + 1));
    }
    example.weights.assign(static_cast<size_t>(n), 1.0F);
    std::fill_n(example.weights.begin(), shared, 0.0F);
    if (n == query.max_length) example.prefix_group = group;
    example.shared_prefix = shared;
    examples.push_back(std::move(example));
  }
  return examples;
}

// Share of trained rows in sequences of full length.
double TrainedFraction(const TrainBenchQuery& query) {
  return 1 - static_cast<double>(query.shared_prompt) / static_cast<double>(query.max_length);
}

// Sets query.shape.recompute, returns why, and refuses what does not fit.
std::string SettleMemory(const Model& model, TrainBenchQuery& query) {
  TrainingShape& shape = query.shape;
  const DType stored = MatrixDtype(model.source());
  // Mapped files count as available memory: they are in the page cache.
  const MemoryAtHand memory = {.resident = static_cast<int64_t>(model.OwnedBytes()),
                               .available = ReadMemory().available};
  const RecomputeChoice choice = ChooseRecompute(model.config(), shape, stored,
                                                 ParseRecompute(query.run.steps.recompute), memory);
  shape.recompute = choice.recompute;
  if (memory.Holds(choice.memory)) return choice.reason;
  Fail(ErrorCode::kOutOfMemory,
       "this needs {} of memory and {} are available; give fewer --tokens, --recompute block or "
       "--method lora",
       HumanBytes(static_cast<int64_t>(TotalBytes(choice.memory))), HumanBytes(memory.All()));
}

// Runs the steps, and measures the ceilings between them.
void MeasureSteps(TrainingRun& run, const std::vector<Example>& examples, DType compute,
                  TrainBenchResult* result) {
  const TrainBenchQuery& query = result->query;
  std::vector<const Example*> step;
  step.reserve(examples.size());
  for (const Example& example : examples) step.push_back(&example);
  std::vector<double> seconds, peaks, bandwidths;
  Profile::Reset();
  for (int64_t i = 0; i < query.warmup + query.steps; ++i) {
    Profile::Enable(query.profile && i >= query.warmup);
    const auto begin = std::chrono::steady_clock::now();
    const ForwardBackwardOutput output = run.ForwardBackward(step);
    run.OptimStep(
        {.learning_rate = kLearningRate, .max_grad_norm = 1, .grad_divisor = output.weight_sum});
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
    Profile::Enable(false);
    if (i == 0) result->first_loss = output.MeanLoss();
    result->last_loss = output.MeanLoss();
    if (i < query.warmup) continue;
    seconds.push_back(taken.count());
    // Before the first measurement of the peak, whose matrices are not part of training.
    if (peaks.empty()) result->peak_rss_bytes = PeakResidentBytes();
    peaks.push_back(MeasureMatMulPeak(compute, kPeakRepetitions));
    if (query.profile) bandwidths.push_back(MeasureReadBandwidth());
  }
  const double sum = std::accumulate(seconds.begin(), seconds.end(), 0.0);
  result->mean_step_seconds = sum / static_cast<double>(seconds.size());
  result->step_seconds = SpreadOf(seconds);
  result->peak_gflops = SpreadOf(peaks);
  if (query.profile) result->read_gbs = SpreadOf(bandwidths);
}

StepProfile ProfileOf(const ModelConfig& config, const TrainBenchResult& r) {
  return MakeStepProfile(Profile::Parts(), StepCost(config, r.query.shape, r.query.tokens),
                         r.query.steps, r.mean_step_seconds,
                         {r.peak_gflops.median, r.read_gbs.median});
}

}  // namespace

double TrainBenchResult::TokensPerSecond() const {
  return static_cast<double>(query.tokens) / step_seconds.median;
}

double TrainBenchResult::Utilization() const {
  return flops.total() * TokensPerSecond() / (peak_gflops.median * 1e9);
}

TrainBenchResult BenchTrain(Model& model, const TrainBenchQuery& asked) {
  TrainBenchResult result;
  result.query = asked;
  TrainBenchQuery& query = result.query;
  query.max_length = std::min(query.max_length, query.tokens);
  if (query.shared_prompt >= query.max_length) {
    Fail(ErrorCode::kInvalidArgument,
         "--shared-prompt {}: it must be shorter than the sequences, which have {} tokens",
         query.shared_prompt, query.max_length);
  }
  query.shape = ShapeOf(query.run, model.compute());
  query.shape.shared_prefixes = query.shared_prompt > 0 && query.group_size > 1;
  query.shape.sequence_length = query.shape.longest_sequence = query.max_length;
  query.shape.tokens_per_microbatch =
      std::max(query.micro_batch > 0 ? query.micro_batch : query.tokens, query.max_length);
  result.parameters = model.NumParameters();
  CountTrainable(model.config(), query.shape);  // refuses unknown targets
  result.recompute_reason = SettleMemory(model, query);
  Run settings = query.run;
  settings.steps.seed = 1;
  TrainingShape shape = query.shape;
  const std::unique_ptr<TrainingRun> run =
      MakeRun(model, MakeAdapter(model, {}, &settings, &shape), shape);
  MeasureSteps(*run, RandomExamples(query, model.config().vocab_size), model.compute(), &result);
  result.trainable = run->NumTrainable();
  result.flops = TrainingFlops(model.config(), query.shape, TrainedFraction(query));
  if (query.profile) result.profile = ProfileOf(model.config(), result);
  result.arena_bytes = static_cast<int64_t>(run->workspace()->HighMark());
  return result;
}

std::string TrainBenchText(const TrainBenchResult& r) {
  const TrainBenchQuery& q = r.query;
  const std::string method =
      q.shape.method == Method::kFull ? "full" : fmt::format("LoRA r={}", q.shape.lora_r);
  std::string text = ReportLine(
      "run", fmt::format("{}, {} of {} parameters trained, {}", method, HumanCount(r.trainable),
                         HumanCount(r.parameters), DTypeName(q.shape.compute)));
  text += ReportLine("step", fmt::format("{} tokens in sequences of {}, {} steps", q.tokens,
                                         q.max_length, q.steps));
  if (q.shared_prompt > 0) {
    text += ReportLine("prompts", fmt::format("the first {} tokens, untrained, shared by {}",
                                              q.shared_prompt, q.group_size));
  }
  text += ReportLine("step time", SpreadText(r.step_seconds, 1e3, "ms"));
  text += ReportLine("matmul peak", SpreadText(r.peak_gflops, 1, "GFLOP/s"));
  text += ReportLine("arithmetic",
                     fmt::format("{:.1f} MFLOP per token: {:.1f} forward, {:.1f} backward, "
                                 "{:.1f} attention",
                                 r.flops.total() * 1e-6, r.flops.forward * 1e-6,
                                 r.flops.backward * 1e-6, r.flops.attention * 1e-6));
  text += ReportLine("tokens per second", fmt::format("{:.0f}", r.TokensPerSecond()));
  text += ReportLine("utilization", fmt::format("{:.1f} % of the peak", 100 * r.Utilization()));
  text +=
      ReportLine("memory", fmt::format("{} at most, {} of it activations",
                                       HumanBytes(r.peak_rss_bytes), HumanBytes(r.arena_bytes)));
  text += ReportLine("recompute",
                     fmt::format("{}: {}", RecomputeName(q.shape.recompute), r.recompute_reason));
  if (r.profile) text += ReportLine("read bandwidth", SpreadText(r.read_gbs, 1, "GB/s"));
  if (r.profile) text += StepProfileText(*r.profile);
  return text;
}

OrderedJson TrainBenchJson(const TrainBenchResult& r) {
  const TrainBenchQuery& q = r.query;
  return {{"method", q.shape.method == Method::kFull ? "full" : "lora"},
          {"lora_r", q.shape.lora_r},
          {"target_modules", q.shape.target_modules},
          {"dtype", DTypeName(q.shape.compute)},
          {"recompute", RecomputeName(q.shape.recompute)},
          {"recompute_reason", r.recompute_reason},
          {"parameters", r.parameters},
          {"trainable_parameters", r.trainable},
          {"tokens_per_step", q.tokens},
          {"tokens_per_microbatch", q.shape.tokens_per_microbatch},
          {"max_length", q.max_length},
          {"shared_prompt", q.shared_prompt},
          {"group_size", q.group_size},
          {"steps", q.steps},
          {"tokens_per_second", r.TokensPerSecond()},
          {"matmul_peak_gflops", r.peak_gflops.median},
          {"model_flops_utilization", r.Utilization()},
          {"peak_rss_bytes", r.peak_rss_bytes},
          {"arena_high_mark_bytes", r.arena_bytes},
          {"step_seconds", SpreadJson(r.step_seconds)},
          {"matmul_peak_gflops_spread", SpreadJson(r.peak_gflops)},
          {"flops_per_token",
           {{"forward", r.flops.forward},
            {"backward", r.flops.backward},
            {"attention", r.flops.attention},
            {"all", r.flops.total()}}},
          {"first_loss", r.first_loss},
          {"last_loss", r.last_loss},
          {"profile", r.profile ? StepProfileJson(*r.profile) : OrderedJson(nullptr)}};
}

}  // namespace lorikeet
