#include "cli/bench/bench_decode.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "core/clock.h"
#include "core/error.h"
#include "core/format.h"
#include "core/machine.h"
#include "core/random.h"
#include "plan/machine_probe.h"
#include "sample/generator.h"

namespace lorikeet {
namespace {

std::vector<int32_t> RandomPrompt(int64_t tokens, int64_t vocab_size, uint64_t number) {
  const RandomStream random(1, "bench decode", {}, number);
  std::vector<int32_t> prompt;
  for (int64_t i = 0; i < tokens; ++i) {
    prompt.push_back(static_cast<int32_t>(
        random.Below(static_cast<uint64_t>(i), static_cast<uint64_t>(vocab_size))));
  }
  return prompt;
}

struct Round {
  double prompt_seconds = 0, decode_seconds = 0;
  int64_t decode_steps = 0, decoded = 0;
};

// All prompts are read first; the steps after that decode one token for every sequence.
// adapters: of the sequences in turn; empty: the base.
Round RunRound(Generator& generator, const DecodeBenchQuery& query,
               std::span<const std::shared_ptr<const LoraWeights>> adapters, int64_t vocab_size,
               uint64_t number) {
  for (int64_t i = 0; i < query.batch; ++i) {
    GenerateRequest request;
    request.prompt =
        RandomPrompt(query.prompt_tokens, vocab_size,
                     number * static_cast<uint64_t>(query.batch) + static_cast<uint64_t>(i));
    request.params.max_tokens = query.new_tokens;
    request.params.temperature = 0;
    if (!adapters.empty()) request.adapter = adapters[static_cast<size_t>(i) % adapters.size()];
    generator.Submit(std::move(request));
  }
  const int64_t before = generator.stats().prompt_tokens;
  Round round;
  const double begin = Now();
  while (generator.stats().prompt_tokens - before < query.batch * query.prompt_tokens) {
    CHECK(generator.Step());
  }
  const double read = Now();
  const int64_t first_tokens = generator.stats().generated_tokens;
  Profile::Enable(query.profile && adapters.size() == query.adapters.size());  // not of one alone
  while (generator.Step()) ++round.decode_steps;
  Profile::Enable(false);
  round.prompt_seconds = read - begin;
  round.decode_seconds = Now() - read;
  round.decoded = generator.stats().generated_tokens - first_tokens;
  return round;
}

// Bytes of the matrices that every step reads completely; an embedding that is not also the head is
// left out, since a step reads few of its rows.
int64_t WeightBytes(const Model& model) {
  const Tensor& embedding = model.weights().embed_tokens;
  const bool tied = embedding.data == model.weights().lm_head.weight.data;
  return static_cast<int64_t>(model.OwnedBytes() + model.MappedBytes()) -
         (tied ? 0 : embedding.bytes());
}

}  // namespace

double DecodeBenchResult::BandwidthUtilization() const {
  return static_cast<double>(weight_bytes) / step_seconds.median * 1e-9 / read_bandwidth_gbs.median;
}

double DecodeBenchResult::AdapterCeiling() const {
  const double one = one_adapter_step_seconds.median;
  return one / (one + static_cast<double>(more_adapter_bytes) * 1e-9 / read_bandwidth_gbs.median);
}

double DecodeBenchResult::AdapterShareOfCeiling() const {
  return one_adapter_step_seconds.median / step_seconds.median / AdapterCeiling();
}

DecodeBenchResult BenchDecode(const Model& model, const DecodeBenchQuery& query) {
  DecodeBenchResult result;
  result.query = query;
  result.compute = model.compute();
  result.parameters = model.NumParameters();
  result.weight_bytes = WeightBytes(model);
  GeneratorLimits limits;
  limits.slots = query.batch;
  limits.capacity = query.prompt_tokens + query.new_tokens;
  limits.tokens_per_step = std::max(limits.tokens_per_step, query.batch);
  Generator generator(model, limits);
  std::vector<double> prompt, decode, step, bandwidth, one_adapter_step;
  const std::span adapters(query.adapters);
  for (size_t i = 1; i < adapters.size(); ++i) {
    result.more_adapter_bytes += static_cast<int64_t>(adapters[i]->Bytes());
  }
  Profile::Reset();
  const auto tokens = static_cast<double>(query.batch * query.prompt_tokens);
  for (int64_t i = 0; i <= query.rounds; ++i) {
    const auto run = [&](std::span<const std::shared_ptr<const LoraWeights>> used) {
      const Round timed =
          RunRound(generator, query, used, model.config().vocab_size, static_cast<uint64_t>(i));
      generator.ForgetPrefixes();
      return timed;
    };
    const Round one = adapters.size() > 1 ? run(adapters.first(1)) : Round();
    const Round round = run(adapters);
    if (i == 0) {  // touches the memory, before measuring the bandwidth takes more
      Profile::Reset();
      result.peak_rss_bytes = PeakResidentBytes();
      continue;
    }
    bandwidth.push_back(MeasureReadBandwidth());
    result.decode_steps += round.decode_steps;
    prompt.push_back(tokens / round.prompt_seconds);
    decode.push_back(static_cast<double>(round.decoded) / round.decode_seconds);
    step.push_back(round.decode_seconds / static_cast<double>(round.decode_steps));
    if (one.decode_steps == 0) continue;
    one_adapter_step.push_back(one.decode_seconds / static_cast<double>(one.decode_steps));
  }
  result.prompt_tokens_per_second = SpreadOf(prompt);
  result.tokens_per_second = SpreadOf(decode);
  result.step_seconds = SpreadOf(step);
  if (!one_adapter_step.empty()) result.one_adapter_step_seconds = SpreadOf(one_adapter_step);
  result.read_bandwidth_gbs = SpreadOf(bandwidth);
  result.parts = Profile::Parts();
  return result;
}

std::string DecodeBenchText(const DecodeBenchResult& r) {
  const DecodeBenchQuery& q = r.query;
  std::string text =
      ReportLine("run", fmt::format("{} sequences, {} tokens read and {} written each, {}", q.batch,
                                    q.prompt_tokens, q.new_tokens, DTypeName(r.compute)));
  text += ReportLine("reading", SpreadText(r.prompt_tokens_per_second, 1, "tokens/s"));
  text += ReportLine("writing", SpreadText(r.tokens_per_second, 1, "tokens/s"));
  text += ReportLine("step", SpreadText(r.step_seconds, 1e3, "ms"));
  text +=
      ReportLine("bandwidth", fmt::format("{:.1f} % of {:.1f} GB/s, for weights of {}",
                                          100 * r.BandwidthUtilization(),
                                          r.read_bandwidth_gbs.median, HumanBytes(r.weight_bytes)));
  if (r.more_adapter_bytes > 0) {
    text +=
        ReportLine("adapters", fmt::format("{}, in the sequences' turn; a step with one alone: {}",
                                           q.adapters.size(),
                                           SpreadText(r.one_adapter_step_seconds, 1e3, "ms")));
    text += ReportLine(
        "ceiling",
        fmt::format("{:.1f} % of the speed with one, for {} more to read; {:.1f} % of it reached",
                    100 * r.AdapterCeiling(), HumanBytes(r.more_adapter_bytes),
                    100 * r.AdapterShareOfCeiling()));
  }
  text += ReportLine("memory", fmt::format("{} at most", HumanBytes(r.peak_rss_bytes)));
  for (const Profile::Part& part : r.parts) {
    const double each = part.seconds / static_cast<double>(r.decode_steps);
    text += fmt::format("  {:<20} {:>9.3f} ms  {:>5.1f} %\n", part.name, each * 1e3,
                        100 * each / r.step_seconds.median);
  }
  return text;
}

OrderedJson DecodeBenchJson(const DecodeBenchResult& r) {
  const DecodeBenchQuery& q = r.query;
  OrderedJson parts = OrderedJson::object();
  for (const Profile::Part& part : r.parts) {
    parts[part.name] = part.seconds / static_cast<double>(r.decode_steps);
  }
  OrderedJson adapters;
  if (r.more_adapter_bytes > 0) {
    adapters = {{"count", q.adapters.size()},
                {"more_bytes", r.more_adapter_bytes},
                {"one_adapter_step_seconds", SpreadJson(r.one_adapter_step_seconds)},
                {"ceiling", r.AdapterCeiling()},
                {"share_of_ceiling", r.AdapterShareOfCeiling()}};
  }
  return {{"dtype", DTypeName(r.compute)},
          {"adapters", adapters},
          {"batch", q.batch},
          {"prompt_tokens", q.prompt_tokens},
          {"new_tokens", q.new_tokens},
          {"rounds", q.rounds},
          {"parameters", r.parameters},
          {"prompt_tokens_per_second", r.prompt_tokens_per_second.median},
          {"tokens_per_second", r.tokens_per_second.median},
          {"step_seconds", SpreadJson(r.step_seconds)},
          {"tokens_per_second_spread", SpreadJson(r.tokens_per_second)},
          {"weight_bytes", r.weight_bytes},
          {"read_bandwidth_gbs", r.read_bandwidth_gbs.median},
          {"read_bandwidth_gbs_spread", SpreadJson(r.read_bandwidth_gbs)},
          {"bandwidth_utilization", r.BandwidthUtilization()},
          {"peak_rss_bytes", r.peak_rss_bytes},
          {"seconds_by_part", parts}};
}

}  // namespace lorikeet
