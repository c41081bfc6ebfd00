#include "recipes/sft_plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "core/error.h"
#include "core/format.h"

namespace lorikeet {
namespace {

using Out = std::back_insert_iterator<std::string>;

constexpr std::array<int64_t, 9> kMicroBatchSizes = {2048, 1536, 1024, 768, 512, 384, 256, 128, 64};

// Advice on settings that need less memory, the most effective first.
std::string SavingAdvice(const ModelConfig& config, const TrainingShape& shape, DType stored,
                         int64_t longest) {
  const size_t now = TotalBytes(PlanTrainingMemory(config, shape, stored));
  std::vector<std::pair<size_t, std::string>> ways;
  const auto offer = [&](const TrainingShape& other, const std::string& what) {
    const size_t bytes = TotalBytes(PlanTrainingMemory(config, other, stored));
    if (bytes < now) ways.emplace_back(bytes, what);
  };
  TrainingShape other = shape;
  if (shape.method == Method::kFull) {
    other.method = Method::kLora;
    offer(other, "method lora");
  }
  if (shape.recompute == Recompute::kNone) {
    other = shape;
    other.recompute = Recompute::kBlock;
    offer(other, "recompute block");
  }
  if (shape.compute == DType::kF32 && DefaultComputeDtype() == DType::kBF16) {
    other = shape;
    other.compute = DType::kBF16;
    offer(other, "dtype bf16");
  }
  if (shape.tokens_per_microbatch > longest) {
    other = shape;
    other.tokens_per_microbatch = longest;
    offer(other, fmt::format("micro_batch_tokens {}", longest));
  }
  if (longest > 128) {
    other = shape;
    other.tokens_per_microbatch = longest / 2;
    offer(other, fmt::format("max_length {}", longest / 2));
  }
  if (shape.method == Method::kLora && shape.lora_r > 8) {
    other = shape;
    other.lora_r = 8;
    offer(other, "lora_r 8");
  }
  std::sort(ways.begin(), ways.end());
  std::string text;
  for (const auto& [bytes, what] : ways) {
    text += fmt::format("{}{} (then {})", text.empty() ? "" : ", ", what,
                        HumanBytes(static_cast<int64_t>(bytes)));
  }
  return text.empty() ? "use a smaller model or a machine with more memory" : "try " + text;
}

// Tokens computed at once, the most first.
std::vector<int64_t> SizesToTry(const MicroBatchQuery& query) {
  if (query.wanted > 0) return {std::max(query.wanted, query.longest)};
  std::vector<int64_t> sizes;
  for (const int64_t size : kMicroBatchSizes) {
    if (size < query.longest) break;
    sizes.push_back(std::max(query.longest, std::min(size, query.batch_tokens)));
  }
  sizes.push_back(query.longest);
  return sizes;
}

void WriteModelLines(Out out, const SftPlan& plan) {
  fmt::format_to(out, "model     {} ({}, {} parameters, stored as {})\n", plan.model_path,
                 plan.model_type, ShortCount(static_cast<double>(plan.parameters)),
                 DTypeName(plan.stored));
  if (plan.shape.method == Method::kLora) {
    fmt::format_to(out, "trains    LoRA of rank {}, alpha {}{}, on {} modules ({})\n",
                   plan.shape.lora_r, static_cast<float>(plan.run.adapter.lora_alpha),
                   plan.run.adapter.use_rslora ? " (rsLoRA)" : "", plan.adapted_modules,
                   fmt::join(plan.shape.target_modules, ", "));
    if (plan.run.adapter.adapter) {
      fmt::format_to(out, "          starting from {}\n", *plan.run.adapter.adapter);
    }
    for (const std::string& note : plan.expert_notes) fmt::format_to(out, "          {}\n", note);
    const std::string factors = plan.run.adapter.FactorText();
    if (!factors.empty()) fmt::format_to(out, "          A and B apart: {}\n", factors);
  } else {
    fmt::format_to(out, "trains    every weight\n");
  }
  fmt::format_to(out, "          {} parameters, {:.2f} % of the model; computes in {}\n",
                 HumanCount(plan.trainable),
                 100.0 * static_cast<double>(plan.trainable) / static_cast<double>(plan.parameters),
                 DTypeName(plan.shape.compute));
  const int64_t adapter = DTypeBytes(DType::kF32, plan.trainable);
  // A quantised base counts with its size after dequantisation.
  const DType stored = IsQuantised(plan.stored) ? DType::kBF16 : plan.stored;
  const double share =
      static_cast<double>(adapter) / static_cast<double>(DTypeBytes(stored, plan.parameters));
  if (plan.shape.method == Method::kLora && share > SftPlan::kLargeAdapter) {
    fmt::format_to(
        out,
        "          note: the adapter will be {} on disk, {:.0f} % of its base; a smaller "
        "lora_r, or no lm_head, makes it smaller\n",
        HumanBytes(adapter), 100 * share);
  }
}

void WriteDataLines(Out out, const SftPlan& plan) {
  const DataStats& data = plan.data;
  fmt::format_to(out,
                 "data      {} rows ({}): {} examples, {} tokens, of them trained {} ({:.1f} %)\n",
                 HumanCount(data.rows), FormatName(data.format), HumanCount(data.examples),
                 HumanCount(data.tokens), HumanCount(data.trained_tokens),
                 100.0 * static_cast<double>(data.trained_tokens) /
                     static_cast<double>(std::max<int64_t>(data.tokens, 1)));
  fmt::format_to(out, "          lengths {} to {}, half of them up to {}; no padding\n",
                 data.lengths.shortest, data.lengths.longest, data.lengths.median);
  const auto also = [&](int64_t count, const char* what) {
    if (count > 0) fmt::format_to(out, "          {} {}\n", HumanCount(count), what);
  };
  also(data.truncated, "examples cut to max_length");
  also(data.dropped_too_long, "examples longer than max_length, dropped");
  also(data.dropped_by_truncation, "examples dropped: max_length leaves nothing in them to train");
  for (const std::string& note : data.notes) fmt::format_to(out, "          note: {}\n", note);
  if (plan.heldout_examples > 0) {
    fmt::format_to(out, "held out  {} examples, {} tokens, of them counted {}\n",
                   HumanCount(plan.heldout_examples), HumanCount(plan.heldout_tokens),
                   HumanCount(plan.heldout_trained_tokens));
  }
  fmt::format_to(out, "BOS       {}\n", data.bos_rule);
  fmt::format_to(out, "begins    {}\n", fmt::join(plan.first_tokens, " "));
}

void WriteCostLines(Out out, const SftPlan& plan) {
  fmt::format_to(out, "steps     {} of {} examples (about {} tokens)", HumanCount(plan.steps),
                 plan.run.steps.batch_size, ShortCount(plan.TokensPerStep()));
  if (plan.steps_done > 0) fmt::format_to(out, ", {} of them done", HumanCount(plan.steps_done));
  fmt::format_to(out, "\nrate      {:.3e}, {}{}{}\n", plan.run.optimizer.learning_rate.value_or(0),
                 plan.run.optimizer.lr_scheduler_type,
                 plan.learning_rate_reason.empty() ? "" : ": ", plan.learning_rate_reason);
  for (const MemoryPart& part : plan.memory) {
    fmt::format_to(out, "{:<9} {:>10}  {}\n", &part == &plan.memory.front() ? "memory" : "",
                   HumanBytes(static_cast<int64_t>(part.bytes)), part.name);
  }
  fmt::format_to(out, "          {:>10}  in all, for {} tokens at once; available {}\n",
                 HumanBytes(static_cast<int64_t>(TotalBytes(plan.memory))),
                 plan.shape.tokens_per_microbatch, HumanBytes(plan.memory_at_hand.All()));
  fmt::format_to(out, "recompute {}: {}\n", RecomputeName(plan.shape.recompute),
                 plan.recompute_reason);
  fmt::format_to(out, "work      {}FLOP per token: forward {}, backward {}, attention {}\n",
                 ShortCount(plan.flops.total()), ShortCount(plan.flops.forward),
                 ShortCount(plan.flops.backward), ShortCount(plan.flops.attention));
  if (plan.peak_flops > 0) {
    fmt::format_to(out,
                   "time      about {} for {} steps, at {:.0f} % of the {:.0f} GFLOP/s measured "
                   "here; refined after 3 steps\n",
                   HumanDuration(plan.EstimatedSeconds()), HumanCount(plan.steps - plan.steps_done),
                   100 * SftPlan::kAssumedUtilisation, plan.peak_flops / 1e9);
  }
}

}  // namespace

double SftPlan::TokensPerStep() const {
  const auto examples = static_cast<double>(std::max<int64_t>(data.examples, 1));
  return static_cast<double>(data.tokens) / examples *
         std::min(static_cast<double>(run.steps.batch_size), examples);
}

double SftPlan::EstimatedSeconds() const {
  if (peak_flops <= 0) return 0;
  return static_cast<double>(std::max<int64_t>(steps - steps_done, 0)) * TokensPerStep() *
         flops.total() / (kAssumedUtilisation * peak_flops);
}

std::string PlanText(const SftPlan& plan) {
  std::string text;
  const Out out(text);
  WriteModelLines(out, plan);
  WriteDataLines(out, plan);
  WriteCostLines(out, plan);
  return text;
}

OrderedJson PlanJson(const SftPlan& plan) {
  OrderedJson memory = OrderedJson::object();
  for (const MemoryPart& part : plan.memory) memory[part.name] = part.bytes;
  return {{"model", plan.model_path},
          {"model_type", plan.model_type},
          {"parameters", plan.parameters},
          {"method", plan.shape.method == Method::kLora ? "lora" : "full"},
          {"trainable_parameters", plan.trainable},
          {"adapted_modules", plan.adapted_modules},
          {"dtype", DTypeName(plan.shape.compute)},
          {"examples", plan.data.examples},
          {"tokens", plan.data.tokens},
          {"trained_tokens", plan.data.trained_tokens},
          {"heldout_examples", plan.heldout_examples},
          {"steps", plan.steps},
          {"steps_done", plan.steps_done},
          {"batch_size", plan.run.steps.batch_size},
          {"learning_rate", plan.run.optimizer.learning_rate.value_or(0)},
          {"learning_rate_reason", plan.learning_rate_reason},
          {"micro_batch_tokens", plan.shape.tokens_per_microbatch},
          {"memory_bytes", memory},
          {"memory_total_bytes", TotalBytes(plan.memory)},
          {"memory_available_bytes", plan.memory_at_hand.All()},
          {"recompute", RecomputeName(plan.shape.recompute)},
          {"recompute_reason", plan.recompute_reason},
          {"flops_per_token", plan.flops.total()},
          {"matmul_peak_gflops", plan.peak_flops / 1e9},
          {"estimated_seconds", plan.EstimatedSeconds()}};
}

MicroBatchChoice ChooseMicroBatch(const ModelConfig& config, TrainingShape shape, DType stored,
                                  const MicroBatchQuery& query) {
  const std::vector<int64_t> sizes = SizesToTry(query);
  // Small pieces first: even 64 tokens at once take less time than computing activations twice.
  for (const Recompute recompute : {Recompute::kNone, Recompute::kBlock}) {
    if (query.recompute.value_or(recompute) != recompute) continue;
    for (const int64_t size : sizes) {
      shape.tokens_per_microbatch = size;
      shape.recompute = recompute;
      if (!query.memory.Holds(PlanTrainingMemory(config, shape, stored))) continue;
      return {size, ChooseRecompute(config, shape, stored, query.recompute, query.memory)};
    }
  }
  const auto needed = static_cast<int64_t>(TotalBytes(PlanTrainingMemory(config, shape, stored)));
  Fail(ErrorCode::kOutOfMemory,
       "this run needs {} of memory with {} tokens at once, and {} are available; {}",
       HumanBytes(needed), shape.tokens_per_microbatch, HumanBytes(query.memory.All()),
       SavingAdvice(config, shape, stored, query.longest));
}

}  // namespace lorikeet
