#include "cli/bench_train.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include "core/error.h"
#include "core/format.h"
#include "core/machine.h"
#include "core/profile.h"
#include "core/random.h"
#include "model/engine_info.h"
#include "train/training_run.h"

namespace lorikeet {
namespace {

constexpr int kPeakRepetitions = 3;  // best of, as a step has the caches to itself too
// Small enough that random tokens do not drive the loss anywhere.
constexpr double kLearningRate = 1e-5;

// A step's tokens in sequences of max_length, the last one shorter; every row is trained.
std::vector<Example> RandomExamples(const TrainBenchQuery& query, int64_t vocab_size) {
  const RandomStream random(1, "bench train");
  std::vector<Example> examples;
  for (int64_t begin = 0; begin < query.tokens; begin += query.max_length) {
    const int64_t n = std::min(query.max_length, query.tokens - begin);
    const auto token = [&](int64_t i) {
      return static_cast<int32_t>(
          random.Below(static_cast<uint64_t>(begin + i), static_cast<uint64_t>(vocab_size)));
    };
    Example example;
    for (int64_t i = 0; i < n; ++i) {
      example.tokens.push_back(token(i));
      example.target_tokens.push_back(token(i + 1));
    }
    example.weights.assign(static_cast<size_t>(n), 1.0F);
    examples.push_back(std::move(example));
  }
  return examples;
}

std::unique_ptr<TrainingRun> MakeRun(Model& model, const TrainingShape& shape) {
  const RunOptions options = {.recompute = shape.recompute,
                              .tokens_per_microbatch = shape.tokens_per_microbatch};
  if (shape.method == Method::kFull) return std::make_unique<TrainingRun>(model, options);
  LoraConfig config;
  config.r = shape.lora_r;
  config.target_modules = shape.target_modules;
  return std::make_unique<TrainingRun>(model, LoraAdapter::Create(model, config, /*seed=*/1),
                                       options);
}

void RefuseWhatDoesNotFit(const Model& model, const TrainingShape& shape) {
  const auto needed = static_cast<int64_t>(TotalBytes(
      PlanTrainingMemory(model.config(), shape, shape.compute)));  // the weights are there already
  const int64_t available =
      ReadMemory().available + static_cast<int64_t>(model.OwnedBytes() + model.MappedBytes());
  if (needed <= available) return;
  Fail(ErrorCode::kOutOfMemory,
       "this needs {} of memory and {} are available; give fewer --tokens, --recompute or --method "
       "lora",
       HumanBytes(needed), HumanBytes(available));
}

std::string SpreadText(const Spread& s, double factor, const char* unit) {
  return fmt::format("{:.4g} {} (least {:.4g}, most {:.4g})", s.median * factor, unit,
                     s.least * factor, s.most * factor);
}

}  // namespace

Spread SpreadOf(std::vector<double> values) {
  CHECK(!values.empty());
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return {values.front(), (values[(n - 1) / 2] + values[n / 2]) / 2, values.back()};
}

OrderedJson SpreadJson(const Spread& spread) {
  return {{"min", spread.least}, {"median", spread.median}, {"max", spread.most}};
}

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
  query.shape.compute = model.compute();
  query.shape.sequence_length = query.max_length;
  query.shape.tokens_per_microbatch =
      std::max(query.micro_batch > 0 ? query.micro_batch : query.tokens, query.max_length);
  result.parameters = model.NumParameters();
  CountTrainable(model.config(), query.shape);  // refuses unknown targets
  RefuseWhatDoesNotFit(model, query.shape);
  const std::vector<Example> examples = RandomExamples(query, model.config().vocab_size);
  std::vector<const Example*> step;
  for (const Example& example : examples) step.push_back(&example);
  const std::unique_ptr<TrainingRun> run = MakeRun(model, query.shape);
  std::vector<double> seconds, peaks;
  for (int64_t i = 0; i < query.warmup + query.steps; ++i) {
    Profile::Enable(query.profile && i >= query.warmup);
    const auto begin = std::chrono::steady_clock::now();
    const ForwardBackwardOutput output = run->ForwardBackward(step);
    run->OptimStep(
        {.learning_rate = kLearningRate, .max_grad_norm = 1, .grad_divisor = output.weight_sum});
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
    Profile::Enable(false);
    if (i == 0) result.first_loss = output.MeanLoss();
    result.last_loss = output.MeanLoss();
    if (i < query.warmup) continue;
    seconds.push_back(taken.count());
    peaks.push_back(MeasureMatMulPeak(model.compute(), kPeakRepetitions));
  }
  result.parts = Profile::Parts();
  result.trainable = run->NumTrainable();
  for (const double s : seconds)
    result.mean_step_seconds += s / static_cast<double>(seconds.size());
  result.step_seconds = SpreadOf(seconds);
  result.peak_gflops = SpreadOf(peaks);
  result.flops = TrainingFlops(model.config(), query.shape);
  result.arena_bytes = static_cast<int64_t>(run->arena().HighMark());
  result.peak_rss_bytes = PeakResidentBytes();
  return result;
}

std::string TrainBenchText(const TrainBenchResult& r) {
  const TrainBenchQuery& q = r.query;
  const auto row = [](const char* name, const std::string& value) {
    return fmt::format("{:<18} {}\n", name, value);
  };
  const std::string method =
      q.shape.method == Method::kFull ? "full" : fmt::format("LoRA r={}", q.shape.lora_r);
  std::string text =
      row("run", fmt::format("{}, {} of {} parameters trained, {}", method, HumanCount(r.trainable),
                             HumanCount(r.parameters), DTypeName(q.shape.compute)));
  text += row("step", fmt::format("{} tokens in sequences of {}, {} steps", q.tokens, q.max_length,
                                  q.steps));
  text += row("step time", SpreadText(r.step_seconds, 1e3, "ms"));
  text += row("matmul peak", SpreadText(r.peak_gflops, 1, "GFLOP/s"));
  text += row("arithmetic", fmt::format("{:.1f} MFLOP per token: {:.1f} forward, {:.1f} backward, "
                                        "{:.1f} attention",
                                        r.flops.total() * 1e-6, r.flops.forward * 1e-6,
                                        r.flops.backward * 1e-6, r.flops.attention * 1e-6));
  text += row("tokens per second", fmt::format("{:.0f}", r.TokensPerSecond()));
  text += row("utilization", fmt::format("{:.1f} % of the peak", 100 * r.Utilization()));
  text += row("memory", fmt::format("{} at most, {} of it activations",
                                    HumanBytes(r.peak_rss_bytes), HumanBytes(r.arena_bytes)));
  for (const Profile::Part& part : r.parts) {
    const double each = part.seconds / static_cast<double>(q.steps);
    text += fmt::format("  {:<20} {:>9.1f} ms  {:>5.1f} %\n", part.name, each * 1e3,
                        100 * each / r.mean_step_seconds);
  }
  return text;
}

OrderedJson TrainBenchJson(const TrainBenchResult& r) {
  const TrainBenchQuery& q = r.query;
  OrderedJson parts = OrderedJson::object();
  for (const Profile::Part& part : r.parts) {
    parts[part.name] = part.seconds / static_cast<double>(q.steps);
  }
  return {{"method", q.shape.method == Method::kFull ? "full" : "lora"},
          {"lora_r", q.shape.lora_r},
          {"target_modules", q.shape.target_modules},
          {"dtype", DTypeName(q.shape.compute)},
          {"recompute", q.shape.recompute == Recompute::kBlock},
          {"parameters", r.parameters},
          {"trainable_parameters", r.trainable},
          {"tokens_per_step", q.tokens},
          {"tokens_per_microbatch", q.shape.tokens_per_microbatch},
          {"max_length", q.max_length},
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
          {"seconds_by_part", parts}};
}

}  // namespace lorikeet
