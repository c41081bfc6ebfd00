// Figure 3 of the article: LoRA's penalty for large batches relative to full fine-tuning, the
// learning rate swept separately for every batch size, all runs over the same number of examples.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "study/comparison.h"
#include "study/experiment.h"

namespace lorikeet {
namespace {

struct BatchData {
  std::vector<Sweep> sweeps;
  std::map<int64_t, const Sweep*> full;                 // by batch size
  std::map<int, std::map<int64_t, const Sweep*>> lora;  // by rank, by batch size
};

BatchData ArrangeBatch(std::span<const RunRecord> records) {
  BatchData data;
  data.sweeps = GroupRuns(records);
  for (const Sweep& sweep : data.sweeps) {
    auto& row = sweep.spec.full() ? data.full : data.lora[sweep.spec.run.adapter.lora_r];
    row[sweep.spec.run.steps.batch_size] = &sweep;
  }
  return data;
}

Optimum Final(const Sweep& sweep) { return OptimumAt(sweep, sweep.spec.steps()); }

// LoRA's loss minus that of full at a batch size, by seed.
std::vector<double> Gaps(const Sweep& lora, const Sweep& full) {
  if (lora.Seeds() != full.Seeds()) return {};
  return Paired(Final(lora).losses, Final(full).losses);
}

// Change of the gap per doubling of the batch, by seed.
std::vector<double> GapSlopes(const std::map<int64_t, const Sweep*>& lora,
                              const std::map<int64_t, const Sweep*>& full) {
  std::vector<double> x;
  std::vector<std::vector<double>> gaps;
  for (const auto& [batch, sweep] : lora) {
    const auto other = full.find(batch);
    if (other == full.end()) continue;
    std::vector<double> of_seeds = Gaps(*sweep, *other->second);
    if (of_seeds.empty()) continue;
    x.push_back(std::log2(static_cast<double>(batch)));
    gaps.push_back(std::move(of_seeds));
  }
  std::vector<double> slopes;
  for (size_t s = 0; !gaps.empty() && s < gaps.front().size(); ++s) {
    std::vector<double> y;
    for (const auto& of_seeds : gaps) y.push_back(of_seeds[s]);
    slopes.push_back(FitLine(x, y).slope);
  }
  return slopes;
}

Series LossSeries(const std::string& label, const std::map<int64_t, const Sweep*>& row) {
  Series series = {.label = label};
  for (const auto& [batch, sweep] : row) {
    const Optimum optimum = Final(*sweep);
    series.Add(static_cast<double>(batch), optimum.loss);
  }
  return series;
}

Figure LossFigure(const BatchData& data) {
  Figure figure = {.name = "batch_loss",
                   .title = "Lowest held-out loss by batch size",
                   .xlabel = "examples per step",
                   .ylabel = "held-out loss, nats per token",
                   .caption =
                       "Every point at its own best rate, after the same number of "
                       "examples; 95 % intervals over seeds."};
  for (const auto& [rank, row] : data.lora) {
    figure.series.push_back(LossSeries(fmt::format("LoRA rank {}", rank), row));
  }
  figure.series.push_back(LossSeries("full", data.full));
  figure.series.back().shade = -2;
  return figure;
}

Figure PenaltyFigure(const BatchData& data) {
  Figure figure = {.name = "batch_penalty",
                   .title = "LoRA above full fine-tuning, by batch size",
                   .xlabel = "examples per step",
                   .ylabel = "nats per token",
                   .caption = "Seeds paired; 95 % intervals."};
  for (const auto& [rank, row] : data.lora) {
    Series series = {.label = fmt::format("LoRA rank {}", rank)};
    for (const auto& [batch, sweep] : row) {
      const auto full = data.full.find(batch);
      if (full == data.full.end()) continue;
      const Interval gap = MeanInterval(Gaps(*sweep, *full->second));
      series.Add(static_cast<double>(batch), gap);
    }
    figure.series.push_back(std::move(series));
  }
  return figure;
}

Figure RateFigure(const BatchData& data) {
  Figure figure = {.name = "batch_rate",
                   .title = "Best learning rate by batch size",
                   .xlabel = "examples per step",
                   .ylabel = "best learning rate",
                   .caption = "Vertices of the parabolas with 95 % intervals.",
                   .log_y = true};
  const auto add = [&](const std::string& label, const std::map<int64_t, const Sweep*>& row) {
    Series series = {.label = label};
    for (const auto& [batch, sweep] : row) {
      const Optimum optimum = Final(*sweep);
      if (!optimum.bracketed) continue;
      series.Add(static_cast<double>(batch), optimum.rate);
    }
    figure.series.push_back(std::move(series));
  };
  for (const auto& [rank, row] : data.lora) add(fmt::format("LoRA rank {}", rank), row);
  add("full", data.full);
  figure.series.back().shade = -2;
  return figure;
}

std::string GrowthWords(const Interval& slope) {
  if (!slope.Known()) return "one seed gives no interval";
  if (slope.low > 0) return "LoRA pays more for larger batches, as the article says";
  if (slope.high < 0) return "LoRA pays less for larger batches, against the article";
  return "no growth is shown";
}

void Conclude(const BatchData& data, Report* report) {
  const double infinity = std::numeric_limits<double>::infinity();
  std::vector<std::vector<double>> slopes;
  int runs = 0;
  for (const Sweep& sweep : data.sweeps) runs += sweep.NumRuns();
  for (const auto& [rank, row] : data.lora) {
    slopes.push_back(GapSlopes(row, data.full));
    const Interval slope = MeanInterval(slopes.back());
    report->conclusions.push_back(fmt::format(
        "LoRA rank {}: its loss above full fine-tuning grows by {} nats for every doubling of the "
        "batch: {}.",
        rank, slope.Text(), GrowthWords(slope)));
    report->findings.push_back(
        {fmt::format("growth of the gap between LoRA rank {} and full per doubling of the batch, "
                     "nats",
                     rank),
         "above 0 (about 0.011 between batches 32 and 128)", slope, AgreesWith(slope, 0, infinity),
         runs});
  }
  if (slopes.size() >= 2) {
    const Interval between = MeanInterval(Paired(slopes.back(), slopes.front()));
    // Half of the growth itself: a wide interval about 0 is no evidence.
    const double margin =
        0.5 * std::max(std::abs(Mean(slopes.back())), std::abs(Mean(slopes.front())));
    report->conclusions.push_back(fmt::format(
        "Between the highest and the lowest rank that growth differs by {} nats: {} 0{}.",
        between.Text(), AgainstValue(between, 0),
        between.Known() && between.Contains(0)
            ? ", so nothing speaks against a penalty that does not depend on rank"
            : ""));
    report->findings.push_back({"difference of that growth between ranks, nats",
                                "0: the penalty does not depend on rank (0.002 in its figure)",
                                between, AgreesWith(between, -margin, margin), runs});
  }
  const auto smallest_best = [](const std::map<int64_t, const Sweep*>& row) {
    int64_t best = 0;
    double lowest = std::numeric_limits<double>::infinity();
    for (const auto& [batch, sweep] : row) {
      const double loss = Final(*sweep).loss.value;
      if (loss < lowest) best = batch;
      lowest = std::min(lowest, loss);
    }
    return best;
  };
  std::string text = "The lowest loss on these examples is reached at batches of";
  for (const auto& [rank, row] : data.lora) {
    text += fmt::format(" {} (LoRA rank {}),", smallest_best(row), rank);
  }
  report->conclusions.push_back(text + fmt::format(" {} (full).", smallest_best(data.full)));
}

StudyPlan Plan(const PlanContext& context) {
  const StudySettings& settings = context.settings;
  const StudyModel& model = *context.models.front();
  const int64_t examples =
      settings.examples > 0 ? settings.examples : settings.steps * settings.batch_size;
  std::vector<int> ranks = settings.Ranks();
  if (ranks.size() > 2) ranks = {ranks[ranks.size() / 2], ranks.back()};
  StudyPlan plan;
  for (const int64_t batch : settings.BatchSizes()) {
    StudySettings of_batch = settings;
    of_batch.batch_size = batch;
    of_batch.steps = std::max<int64_t>(2, examples / batch);
    of_batch.short_steps = {std::to_string(of_batch.steps)};
    plan.swept.push_back(FullCondition(of_batch, model));
    for (const int rank : ranks) plan.swept.push_back(LoraCondition(of_batch, model, rank));
  }
  return plan;
}

Report Analyse(const StudySettings& settings, std::span<const RunRecord> records) {
  RequireRuns(records, "batch");
  const BatchData data = ArrangeBatch(records);
  Report report = {.experiment = "batch",
                   .title = "Batch size",
                   .question =
                       "Does LoRA pay more for large batches than full fine-tuning does, "
                       "and does a higher rank help?"};
  report.figures = {LossFigure(data), PenaltyFigure(data), RateFigure(data)};
  Conclude(data, &report);
  for (const auto& [batch, full] : data.full) {
    std::vector<Sweep> of_batch;
    for (const Sweep& sweep : data.sweeps) {
      if (sweep.spec.run.steps.batch_size == batch) of_batch.push_back(sweep);
    }
    report.tables.push_back(
        OptimumTable(fmt::format("batch_optima_{}", batch), of_batch, full->spec.steps()));
    report.tables.back().title =
        fmt::format("Optima at {} examples a step, {} steps", batch, full->spec.steps());
    for (const std::string& note : EdgeNotes(of_batch, full->spec.steps())) {
      report.notes.push_back(fmt::format("Batch {}: {}", batch, note));
    }
  }
  for (const std::string& note : CommonNotes(settings, records)) report.notes.push_back(note);
  return report;
}

}  // namespace

constinit const Experiment kBatchExperiment = {
    .name = "batch",
    .summary = "what LoRA pays for large batches, the rate swept for each",
    .plan = Plan,
    .analyse = Analyse};

}  // namespace lorikeet
