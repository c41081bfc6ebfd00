#include "cli/bench/bench_kernels.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "core/error.h"

namespace lorikeet {
namespace {

bool Contains(const std::string& text, const std::string& word) {
  return text.find(word) != std::string::npos;
}

std::vector<KernelCase> Chosen(const KernelBenchQuery& query) {
  std::vector<KernelCase> cases = KernelCases(query.config, query.shape, query.tokens);
  const auto unwanted = [&](const KernelCase& item) {
    return std::none_of(query.only.begin(), query.only.end(), [&](const std::string& word) {
      return Contains(item.step.part, word) || Contains(item.step.Name(), word) ||
             Contains(item.step.call.kernel, word);
    });
  };
  if (!query.only.empty()) std::erase_if(cases, unwanted);
  if (cases.empty()) {
    Fail(ErrorCode::kInvalidArgument,
         "--only {}: no kernel has that in its part, name or function; run without it to see them",
         fmt::join(query.only, ","));
  }
  return cases;
}

// "gate, up y": shortened to fit the table.
std::string ShortName(const StepCall& step) {
  std::string name = step.Name();
  for (const std::string_view suffix : {"_proj", "_layernorm"}) {
    for (size_t at = name.find(suffix); at != std::string::npos; at = name.find(suffix)) {
      name.erase(at, suffix.size());
    }
  }
  return name;
}

std::string Rate(const RooflinePoint& point) {
  return point.compute_bound ? fmt::format("{:.1f} GFLOP/s", point.gflops)
                             : fmt::format("{:.1f} GB/s", point.gbs);
}

std::string RowText(const KernelBenchResult::Row& row) {
  const StepCall& step = row.kernel.step;
  return fmt::format("  {:<30} {:<21} {:<29} {:>4} {:>4} {:>10.4f} {:>14} {:>6.1f} % {}\n",
                     ShortName(step), step.call.kernel, step.call.shape, row.kernel.lora_calls,
                     row.kernel.full_calls, row.seconds.median * 1e3, Rate(row.point),
                     100 * row.point.share_of_ceiling,
                     row.point.compute_bound ? "matmul" : "memory");
}

OrderedJson RowJson(const KernelBenchResult::Row& row) {
  const StepCall& step = row.kernel.step;
  return {{"part", step.part},
          {"name", step.Name()},
          {"kernel", step.call.kernel},
          {"shape", step.call.shape},
          {"calls_per_step", {{"lora", row.kernel.lora_calls}, {"full", row.kernel.full_calls}}},
          {"seconds", SpreadJson(row.seconds)},
          {"flops", step.call.flops},
          {"bytes", step.call.bytes},
          {"gflops_per_second", row.point.gflops},
          {"gb_per_second", row.point.gbs},
          {"ceiling", row.point.compute_bound ? "matmul" : "memory"},
          {"share_of_ceiling", row.point.share_of_ceiling}};
}

std::string HeadText(const KernelBenchResult& r) {
  const KernelBenchQuery& q = r.query;
  return ReportLine("shapes", fmt::format("{}, {} tokens in sequences of {}, LoRA r={} and full",
                                          q.model, q.tokens, q.max_length, q.shape.lora_r)) +
         ReportLine("measured",
                    fmt::format("{}, {} rounds", DTypeName(q.shape.compute), q.rounds)) +
         ReportLine("matmul peak", SpreadText(r.peak_gflops, 1, "GFLOP/s")) +
         ReportLine("read bandwidth", SpreadText(r.read_gbs, 1, "GB/s")) +
         fmt::format("\n  {:<30} {:<21} {:<29} {:>4} {:>4} {:>10} {:>14} {:>15}\n", "name",
                     "kernel", "shape", "lora", "full", "ms", "rate", "of its ceiling");
}

std::string StepsText(const KernelBenchResult& r) {
  const auto line = [&](const char* name, Method method) {
    return ReportLine(name,
                      fmt::format("{:.1f} ms in these calls, {:.1f} ms at their ceilings",
                                  r.StepSeconds(method) * 1e3, r.IdealStepSeconds(method) * 1e3));
  };
  return line("LoRA step", Method::kLora) + line("full step", Method::kFull);
}

double Calls(const KernelBenchResult::Row& row, Method method) {
  return method == Method::kLora ? row.kernel.lora_calls : row.kernel.full_calls;
}

}  // namespace

double KernelBenchResult::StepSeconds(Method method) const {
  double seconds = 0;
  for (const Row& row : rows) seconds += Calls(row, method) * row.seconds.median;
  return query.only.empty() ? seconds : 0;
}

double KernelBenchResult::IdealStepSeconds(Method method) const {
  double seconds = 0;
  for (const Row& row : rows) seconds += Calls(row, method) * row.point.ideal_seconds;
  return query.only.empty() ? seconds : 0;
}

KernelBenchResult BenchKernels(const KernelBenchQuery& asked) {
  KernelBenchResult result;
  result.query = asked;
  KernelBenchQuery& query = result.query;
  query.max_length = std::min(query.max_length, query.tokens);
  query.shape.sequence_length = query.max_length;
  query.shape.tokens_per_microbatch = query.tokens;
  const std::vector<KernelCase> cases = Chosen(query);
  const KernelTimes times = TimeKernels(cases, query.shape.compute, query.rounds);
  result.peak_gflops = SpreadOf(times.peak_gflops);
  result.read_gbs = SpreadOf(times.read_gbs);
  const Ceilings ceilings{result.peak_gflops.median, result.read_gbs.median};
  for (size_t i = 0; i < cases.size(); ++i) {
    const SizedKernel& call = cases[i].step.call;
    const Spread seconds = SpreadOf(times.seconds[i]);
    result.rows.push_back(
        {cases[i], seconds, UnderRoofline(call.flops, call.bytes, seconds.median, ceilings)});
  }
  return result;
}

std::string KernelBenchText(const KernelBenchResult& r) {
  std::string text = HeadText(r);
  std::string part;
  for (const KernelBenchResult::Row& row : r.rows) {
    if (row.kernel.step.part != part) text += row.kernel.step.part + "\n";
    part = row.kernel.step.part;
    text += RowText(row);
  }
  return r.query.only.empty() ? text + "\n" + StepsText(r) : text;
}

OrderedJson KernelBenchJson(const KernelBenchResult& r) {
  const KernelBenchQuery& q = r.query;
  OrderedJson kernels = OrderedJson::array();
  for (const KernelBenchResult::Row& row : r.rows) kernels.push_back(RowJson(row));
  OrderedJson json = {{"model", q.model},
                      {"dtype", DTypeName(q.shape.compute)},
                      {"lora_r", q.shape.lora_r},
                      {"target_modules", q.shape.target_modules},
                      {"tokens_per_step", q.tokens},
                      {"max_length", q.max_length},
                      {"rounds", q.rounds},
                      {"matmul_peak_gflops", r.peak_gflops.median},
                      {"read_bandwidth_gbs", r.read_gbs.median},
                      {"matmul_peak_gflops_spread", SpreadJson(r.peak_gflops)},
                      {"read_bandwidth_gbs_spread", SpreadJson(r.read_gbs)},
                      {"kernels", kernels}};
  if (!q.only.empty()) return json;
  for (const Method method : {Method::kLora, Method::kFull}) {
    json[method == Method::kLora ? "lora_step" : "full_step"] = {
        {"seconds", r.StepSeconds(method)}, {"ideal_seconds", r.IdealStepSeconds(method)}};
  }
  return json;
}

}  // namespace lorikeet
