// The report of `lorikeet estimate`, as a table and as JSON.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "core/format.h"
#include "recipes/estimate.h"
#include "recipes/expert_notes.h"

namespace lorikeet {
namespace {

std::string Line(const std::string& name, const std::string& lora, const std::string& full,
                 const std::string& sampling = "") {
  std::string line = fmt::format("{:<32} {:>18} {:>18} {:>18}", name, lora, full, sampling);
  line.erase(line.find_last_not_of(' ') + 1);
  return line + "\n";
}

std::string Named(const std::vector<MemoryPart>& parts, const std::string& name) {
  for (const MemoryPart& part : parts) {
    if (part.name == name) return HumanBytes(static_cast<int64_t>(part.bytes));
  }
  return "-";
}

// Parts of all three columns, grouped by kind: weights, adapter, additions of training, the rest.
std::vector<std::string> PartNames(const Estimate& e) {
  std::vector<std::string> names;
  for (const auto* parts : {&e.lora.recompute.memory, &e.full.recompute.memory, &e.sampling}) {
    for (const MemoryPart& part : *parts) {
      if (std::find(names.begin(), names.end(), part.name) == names.end())
        names.push_back(part.name);
    }
  }
  std::stable_partition(names.begin(), names.end(), [](const std::string& name) {
    return name.find("weights") != std::string::npos;
  });
  return names;
}

std::string MemoryText(const Estimate& e) {
  std::string text = "memory\n";
  for (const std::string& name : PartNames(e)) {
    text += Line("  " + name, Named(e.lora.recompute.memory, name),
                 Named(e.full.recompute.memory, name), Named(e.sampling, name));
  }
  const auto fits = [](bool fit) { return std::string(fit ? "yes" : "NO"); };
  text += Line("  all", HumanBytes(e.lora.memory_bytes), HumanBytes(e.full.memory_bytes),
               HumanBytes(e.sampling_bytes));
  text += Line(fmt::format("  fits {} available", HumanBytes(e.query.memory_available)),
               fits(e.lora.fits), fits(e.full.fits),
               fits(e.sampling_bytes <= e.query.memory_available));
  const RecomputeChoice &lora = e.lora.recompute, &full = e.full.recompute;
  text += Line("  recompute", RecomputeName(lora.recompute), RecomputeName(full.recompute));
  if (!ParseRecompute(e.query.run.steps.recompute)) {
    text += fmt::format("    LoRA: {}; full: {}\n", lora.reason, full.reason);
  }
  return text;
}

std::string TimeText(const Estimate& e) {
  const FlopsPerToken &lora = e.lora.flops, &full = e.full.flops;
  const auto mega = [](double flops) { return fmt::format("{:.1f} M", flops * 1e-6); };
  std::string text = "floating point operations per token\n";
  text += Line("  forward", mega(lora.forward), mega(full.forward));
  text += Line("  backward", mega(lora.backward), mega(full.backward));
  text += Line("  attention", mega(lora.attention), mega(full.attention));
  text += Line("  all", mega(lora.total()), mega(full.total()));
  text += Line("  of full fine-tuning", Percent(lora.total() / full.total()), "100%");
  text += fmt::format("time at {} of the matmul peak\n", Percent(e.query.utilization));
  const auto seconds = [](double s) { return fmt::format("{:.2f} s", s); };
  const auto rate = [](const MethodEstimate& m) {
    return fmt::format("{:.0f}", 1000 / m.seconds_per_1000_tokens);
  };
  text += Line("  1000 tokens", seconds(e.lora.seconds_per_1000_tokens),
               seconds(e.full.seconds_per_1000_tokens));
  text += Line("  tokens per second", rate(e.lora), rate(e.full));
  if (e.lora.run_seconds) {
    text += Line(fmt::format("  the run, {} steps", HumanCount(e.steps)),
                 HumanDuration(*e.lora.run_seconds), HumanDuration(*e.full.run_seconds));
  }
  return text;
}

std::string CapacityText(const Estimate& e) {
  if (!e.capacity) {
    return "\ncapacity: give --data or --trained-tokens to compare the adapter with what is to be "
           "learned\n";
  }
  const Capacity& c = *e.capacity;
  std::string text = fmt::format(
      "\ncapacity\n"
      "  to be learned   at most about {} bits: {} trained tokens, {:g} bit each in a first pass\n"
      "  adapter         about {} bits: {} parameters, {:g} bits each ({:.3g} times as much)\n",
      ShortCount(c.data_bits), HumanCount(c.trained_tokens), kBitsPerToken,
      ShortCount(c.adapter_bits), HumanCount(e.lora.trainable), kBitsPerParameter,
      c.adapter_bits / std::max(c.data_bits, 1.0));
  text += fmt::format(
      "  rule            parameters >= trained tokens: {}; smallest rank for these modules: {}\n",
      c.parameters_cover_tokens ? "holds" : "DOES NOT HOLD", c.smallest_rank);
  return text;
}

std::string RanksText(const Estimate& e) {
  std::string text =
      fmt::format("\nas many parameters as this adapter ({})\n", HumanCount(e.lora.trainable));
  for (const EqualRank& rank : e.equal_ranks) {
    text += fmt::format("  {:<12} r {:>6}   {:>16}\n", rank.modules, rank.r,
                        HumanCount(rank.parameters));
  }
  return text;
}

OrderedJson MemoryJson(const std::vector<MemoryPart>& parts) {
  OrderedJson json = OrderedJson::object();
  for (const MemoryPart& part : parts) json[part.name] = part.bytes;
  return json;
}

OrderedJson MethodJson(const MethodEstimate& m) {
  OrderedJson json = {{"trainable_parameters", m.trainable},
                      {"memory", MemoryJson(m.recompute.memory)},
                      {"memory_bytes", m.memory_bytes},
                      {"fits", m.fits},
                      {"recompute", RecomputeName(m.recompute.recompute)},
                      {"recompute_reason", m.recompute.reason},
                      {"flops_per_token",
                       {{"forward", m.flops.forward},
                        {"backward", m.flops.backward},
                        {"attention", m.flops.attention},
                        {"all", m.flops.total()}}},
                      {"seconds_per_1000_tokens", m.seconds_per_1000_tokens},
                      {"saved_bytes", m.saved_bytes},
                      {"learning_rate", m.learning_rate.value},
                      {"learning_rate_reason", m.learning_rate.reason}};
  json["run_seconds"] = m.run_seconds ? OrderedJson(*m.run_seconds) : OrderedJson(nullptr);
  return json;
}

OrderedJson CapacityJson(const Estimate& e) {
  if (!e.capacity) return nullptr;
  const Capacity& c = *e.capacity;
  return {{"trained_tokens", c.trained_tokens},
          {"data_bits", c.data_bits},
          {"adapter_bits", c.adapter_bits},
          {"parameters_cover_tokens", c.parameters_cover_tokens},
          {"smallest_sufficient_rank", c.smallest_rank}};
}

OrderedJson DataJson(const Estimate& e) {
  if (!e.query.data) return nullptr;
  const DataFacts& data = *e.query.data;
  return {{"path", data.path},
          {"examples", data.examples},
          {"tokens", data.tokens},
          {"trained_tokens", data.trained_tokens},
          {"steps", e.steps}};
}

}  // namespace

std::string EstimateText(const Estimate& e) {
  const EstimateQuery& q = e.query;
  std::string text = fmt::format("model    {}: {}, {} parameters, stored as {}, computed in {}\n",
                                 q.model, q.config.model_type, HumanCount(e.parameters),
                                 DTypeName(q.stored), DTypeName(q.shape.compute));
  text += fmt::format("machine  matmul peak {:.0f} GFLOP/s in {} ({})\n", q.peak_gflops,
                      DTypeName(q.shape.compute), q.peak_measured ? "measured now" : "as given");
  text += fmt::format(
      "run      {} examples per step, at most {} tokens each; {} tokens computed at once\n",
      q.run.steps.batch_size, HumanCount(q.max_length), HumanCount(q.shape.tokens_per_microbatch));
  if (q.data) {
    text += fmt::format("data     {}: {} examples, {} tokens, {} trained ({})\n", q.data->path,
                        HumanCount(q.data->examples), HumanCount(q.data->tokens),
                        HumanCount(q.data->trained_tokens),
                        Percent(static_cast<double>(q.data->trained_tokens) /
                                std::max(1.0, static_cast<double>(q.data->tokens))));
  }
  for (const std::string& note : ExpertNotes(q.config, q.shape)) text += "experts  " + note + "\n";
  text += "\n" + Line("", fmt::format("LoRA r={}", q.shape.lora_r), "full",
                      fmt::format("sampling {} x {}", q.sequences, q.max_length));
  text += Line("trained parameters", HumanCount(e.lora.trainable), HumanCount(e.full.trainable));
  text += Line("  of the model's",
               fmt::format("{:.3g}%", 100.0 * static_cast<double>(e.lora.trainable) /
                                          static_cast<double>(e.parameters)),
               "100%");
  text += Line("saved as", HumanBytes(e.lora.saved_bytes), HumanBytes(e.full.saved_bytes));
  text += MemoryText(e) + TimeText(e);
  text += Line("learning rate", fmt::format("{:.2e}", e.lora.learning_rate.value),
               fmt::format("{:.2e}", e.full.learning_rate.value));
  return text + CapacityText(e) + RanksText(e);
}

OrderedJson EstimateJson(const Estimate& e) {
  const EstimateQuery& q = e.query;
  OrderedJson ranks = OrderedJson::object();
  for (const EqualRank& rank : e.equal_ranks) {
    ranks[rank.modules] = {{"r", rank.r}, {"parameters", rank.parameters}};
  }
  return {{"model", q.model},
          {"model_type", q.config.model_type},
          {"parameters", e.parameters},
          {"stored_dtype", DTypeName(q.stored)},
          {"compute_dtype", DTypeName(q.shape.compute)},
          {"lora_r", q.shape.lora_r},
          {"target_modules", q.shape.target_modules},
          {"max_length", q.max_length},
          {"batch_size", q.run.steps.batch_size},
          {"tokens_per_microbatch", q.shape.tokens_per_microbatch},
          {"matmul_peak_gflops", q.peak_gflops},
          {"utilization", q.utilization},
          {"memory_available_bytes", q.memory_available},
          {"lora", MethodJson(e.lora)},
          {"full", MethodJson(e.full)},
          {"lora_flops_of_full", e.lora.flops.total() / e.full.flops.total()},
          {"sampling", {{"memory", MemoryJson(e.sampling)}, {"memory_bytes", e.sampling_bytes}}},
          {"data", DataJson(e)},
          {"capacity", CapacityJson(e)},
          {"equal_parameter_ranks", std::move(ranks)}};
}

}  // namespace lorikeet
