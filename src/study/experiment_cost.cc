// Cost per token of LoRA and of full fine-tuning: FLOPs as counted, time and memory as measured.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/format.h"
#include "study/comparison.h"
#include "study/experiment.h"

namespace lorikeet {
namespace {

constexpr int64_t kMaxSteps = 24;

struct Cost {
  std::string method;
  bool full = false;
  int rank = 0, runs = 0;
  int64_t trainable = 0;
  double flops = 0;             // per token
  std::vector<double> seconds;  // per token, by seed
  std::vector<double> bytes;    // peak, by seed
};

// The median over steps, without the first, which includes the preparation of kernels.
double SecondsPerToken(const RunRecord& record) {
  if (record.step_seconds.size() < 2 || record.tokens == 0) return kUnknown;
  std::vector<double> seconds(record.step_seconds.begin() + 1, record.step_seconds.end());
  std::nth_element(seconds.begin(), seconds.begin() + static_cast<int64_t>(seconds.size() / 2),
                   seconds.end());
  const double tokens = static_cast<double>(record.tokens) / static_cast<double>(record.steps);
  return seconds[seconds.size() / 2] / tokens;
}

std::vector<Cost> CostsOf(std::span<const RunRecord> records) {
  std::vector<Cost> costs;
  for (const RunRecord& record : records) {
    const std::string method = record.spec.MethodName();
    auto found = std::find_if(costs.begin(), costs.end(),
                              [&](const Cost& cost) { return cost.method == method; });
    if (found == costs.end()) {
      costs.push_back(
          {.method = method, .full = record.spec.full(), .rank = record.spec.run.adapter.lora_r});
      found = costs.end() - 1;
    }
    found->trainable = record.trainable;
    found->flops = record.flops_per_token;
    found->seconds.push_back(SecondsPerToken(record));
    found->bytes.push_back(static_cast<double>(record.peak_bytes));
    ++found->runs;
  }
  std::sort(costs.begin(), costs.end(), [](const Cost& a, const Cost& b) {
    return std::pair(!a.full, a.rank) < std::pair(!b.full, b.rank);
  });
  return costs;
}

// Not paired, since a run's time does not depend on its seed.
Interval TimeRatio(const Cost& a, const Cost& b) {
  std::vector<double> logs;
  for (size_t i = 0; i < std::min(a.seconds.size(), b.seconds.size()); ++i) {
    logs.push_back(std::log10(a.seconds[i] / b.seconds[i]));
  }
  return FromLog10(MeanInterval(logs));
}

void Conclude(const Cost& lora, const Cost& full, Report* report) {
  const double flops = lora.flops / full.flops;
  const Interval time = TimeRatio(lora, full);
  const double memory = Mean(lora.bytes) / Mean(full.bytes);
  report->conclusions.push_back(fmt::format(
      "A token costs {} {:.3f} times the arithmetic of full fine-tuning, {} times its time; its "
      "process held {} at most, {:.2f} times that of full.",
      lora.method, flops, time.Text(), HumanBytes(static_cast<int64_t>(Mean(lora.bytes))), memory));
  report->findings.push_back({fmt::format("FLOPs per token of {} over those of full", lora.method),
                              "slightly more than 2/3 (attention not counted)",
                              {flops, flops, flops, lora.runs},
                              flops > 2.0 / 3 && flops < 0.9 ? Agreement::kYes : Agreement::kNo,
                              lora.runs + full.runs});
  report->findings.push_back({fmt::format("time per token of {} over that of full", lora.method),
                              "as the FLOPs", time, AgreesWith(time, 0.85 * flops, 1.15 * flops),
                              lora.runs + full.runs});
}

StudyPlan Plan(const PlanContext& context) {
  const StudySettings& settings = context.settings;
  const StudyModel& model = *context.models.front();
  StudyPlan plan;
  const auto add = [&](SweptCondition condition) {
    condition.spec.run.steps.max_steps = std::min(settings.steps, kMaxSteps);
    condition.spec.eval_at.clear();
    condition.spec.run.optimizer.learning_rate = condition.centre;
    for (const uint64_t seed : settings.Seeds()) {
      condition.spec.run.steps.seed = seed;
      plan.fixed.push_back(condition.spec);
    }
  };
  add(FullCondition(settings, model));
  for (const int rank : settings.Ranks()) add(LoraCondition(settings, model, rank));
  return plan;
}

Report Analyse(const StudySettings& settings, std::span<const RunRecord> records) {
  RequireRuns(records, "cost");
  const std::vector<Cost> costs = CostsOf(records);
  Report report = {.experiment = "cost",
                   .title = "Cost",
                   .question =
                       "What does a trained token cost with LoRA and with full fine-tuning: "
                       "arithmetic, time, memory?"};
  const Cost& full = costs.front();
  Table table = {.name = "cost_per_token",
                 .title = "Per trained token",
                 .header = {"method", "parameters", "FLOPs", "times full", "microseconds",
                            "times full", "peak memory", "times full"}};
  Series flops = {.label = "FLOPs"}, time = {.label = "time"}, memory = {.label = "peak memory"};
  for (const Cost& cost : costs) {
    const Interval ratio = TimeRatio(cost, full);
    const double bytes = Mean(cost.bytes);
    table.rows.push_back({cost.method, HumanCount(cost.trainable), ShortCount(cost.flops),
                          fmt::format("{:.3f}", cost.flops / full.flops),
                          fmt::format("{:.3g}", 1e6 * Mean(cost.seconds)), ratio.Text(),
                          HumanBytes(static_cast<int64_t>(bytes)),
                          fmt::format("{:.2f}", bytes / Mean(full.bytes))});
    if (cost.full || !full.full) continue;
    Conclude(cost, full, &report);
    const double rank = cost.rank;
    flops.Add(rank, cost.flops / full.flops);
    time.Add(rank, ratio);
    memory.Add(rank, bytes / Mean(full.bytes));
  }
  report.figures.push_back({.name = "cost_by_rank",
                            .title = "Cost of LoRA over that of full fine-tuning",
                            .xlabel = "rank",
                            .ylabel = "ratio",
                            .caption = "FLOPs as counted, attention and head included; time and "
                                       "memory as measured.",
                            .series = {flops, time, memory}});
  report.tables.push_back(std::move(table));
  report.notes = CommonNotes(settings, records);
  report.notes.push_back(
      "Every run had a process of its own, whose peak resident memory includes program, tokenizer "
      "and data. Time is the median step's, without the first.");
  return report;
}

}  // namespace

constinit const Experiment kCostExperiment = {
    .name = "cost",
    .summary = "arithmetic, time and memory of a token, LoRA beside full",
    .plan = Plan,
    .analyse = Analyse,
    .alone = true};

}  // namespace lorikeet
