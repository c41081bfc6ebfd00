#include "study/comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/format.h"
#include "study/measure.h"

namespace lorikeet {

namespace {

// The highest loss within two rates of the best one, at most the untrained model's: a figure's y
// axis reaches up to it, so that the valley is seen.
double TopOfValley(const LossByRate& at, const LossByRate& untrained) {
  if (at.means.empty()) return 0;
  const auto best = std::min_element(at.means.begin(), at.means.end()) - at.means.begin();
  const auto last = static_cast<int64_t>(at.means.size()) - 1;
  double top = 0;
  for (int64_t i = std::max<int64_t>(0, best - 2); i <= std::min<int64_t>(last, best + 2); ++i) {
    top = std::max(top, at.means[static_cast<size_t>(i)]);
  }
  return std::min(top, untrained.means.front());
}

}  // namespace

std::vector<double> Paired(std::span<const double> a, std::span<const double> b) {
  std::vector<double> differences;
  if (a.size() != b.size()) return differences;
  for (size_t i = 0; i < a.size(); ++i) differences.push_back(a[i] - b[i]);
  return differences;
}

Interval RateRatio(const Sweep& a, const Sweep& b, int64_t step) {
  const Optimum of_a = OptimumAt(a, step), of_b = OptimumAt(b, step);
  if (!of_a.bracketed || !of_b.bracketed || a.Seeds() != b.Seeds()) return {};
  return FromLog10(MeanInterval(Paired(of_a.log_rates, of_b.log_rates)));
}

Interval LossGap(const Sweep& a, const Sweep& b, int64_t step) {
  if (a.Seeds() != b.Seeds()) return {};
  return MeanInterval(Paired(OptimumAt(a, step).losses, OptimumAt(b, step).losses));
}

double LearnedBy(const Sweep& sweep, int64_t step) {
  return LossesAt(sweep, 0).means.front() - OptimumAt(sweep, step).loss.value;
}

double EquivalenceMargin(const Sweep& sweep, int64_t step) { return 0.02 * LearnedBy(sweep, step); }

double DepartureStep(std::span<const int64_t> steps, std::span<const double> gap,
                     double threshold) {
  std::vector<std::pair<double, double>> points;  // log of step, gap
  for (size_t i = 0; i < steps.size(); ++i) {
    if (steps[i] > 0 && std::isfinite(gap[i])) {
      points.emplace_back(std::log(static_cast<double>(steps[i])), gap[i]);
    }
  }
  if (points.empty() || points.back().second <= threshold) {
    return std::numeric_limits<double>::infinity();
  }
  size_t i = points.size() - 1;  // first of the points above the threshold at the end
  while (i > 0 && points[i - 1].second > threshold) --i;
  if (i == 0) return std::exp(points.front().first);
  const auto [x0, g0] = points[i - 1];
  const auto [x1, g1] = points[i];
  return std::exp(x0 + (x1 - x0) * (threshold - g0) / (g1 - g0));
}

Departure DetectDeparture(std::span<const int64_t> steps, std::span<const std::vector<double>> gaps,
                          double threshold) {
  Departure departure;
  departure.seeds = static_cast<int>(gaps.size());
  std::vector<double> logs;
  for (const std::vector<double>& gap : gaps) {
    const double step = DepartureStep(steps, gap, threshold);
    departure.of_seed.push_back(step);
    if (!std::isfinite(step)) continue;
    ++departure.departed;
    logs.push_back(std::log10(step));
  }
  departure.step = FromLog10(MeanInterval(logs));
  return departure;
}

const Sweep* FindFull(std::span<const Sweep> sweeps) {
  for (const Sweep& sweep : sweeps) {
    if (sweep.spec.full()) return &sweep;
  }
  return nullptr;
}

std::vector<const Sweep*> FindLora(std::span<const Sweep> sweeps) {
  std::vector<const Sweep*> lora;
  for (const Sweep& sweep : sweeps) {
    if (!sweep.spec.full()) lora.push_back(&sweep);
  }
  std::stable_sort(lora.begin(), lora.end(), [](const Sweep* a, const Sweep* b) {
    return a->spec.run.adapter.lora_r < b->spec.run.adapter.lora_r;
  });
  return lora;
}

std::vector<const RunRecord*> RunsAtBest(const Sweep& sweep, int64_t step) {
  const LossByRate losses = LossesAt(sweep, step);
  const auto best = std::min_element(losses.means.begin(), losses.means.end());
  std::vector<const RunRecord*> runs;
  if (best == losses.means.end()) return runs;
  const double rate = losses.rates[static_cast<size_t>(best - losses.means.begin())];
  for (const auto& [seed, run] : sweep.runs.at(rate)) runs.push_back(run);
  return runs;
}

std::string AgainstValue(const Interval& here, double value) {
  if (!here.Known()) return "of unknown distance from";
  if (here.low > value) return "above";
  return here.high < value ? "below" : "not to be told from";
}

int ShadeOf(const Sweep& sweep, std::span<const Sweep* const> among) {
  if (sweep.spec.full()) return -2;
  std::vector<int> ranks;
  for (const Sweep* other : among) {
    if (!other->spec.full()) ranks.push_back(other->spec.run.adapter.lora_r);
  }
  std::sort(ranks.begin(), ranks.end());
  // Conditions of the same rank get different colours.
  if (std::adjacent_find(ranks.begin(), ranks.end()) != ranks.end()) return -1;
  const auto at =
      std::find(ranks.begin(), ranks.end(), sweep.spec.run.adapter.lora_r) - ranks.begin();
  return ranks.size() < 2 ? 40
                          : static_cast<int>(100 * at / static_cast<int64_t>(ranks.size() - 1));
}

std::string ConditionName(const Sweep& sweep) {
  const std::string method = sweep.spec.MethodName();
  return sweep.spec.run.optimizer.lr_scheduler_type == "constant"
             ? method
             : method + ", " + sweep.spec.run.optimizer.lr_scheduler_type;
}

Table OptimumTable(const std::string& name, std::span<const Sweep> sweeps, int64_t step) {
  Table table = {.name = name,
                 .title = fmt::format("Optima after {} steps", step),
                 .header = {"condition", "parameters", "best learning rate", "times full",
                            "lowest held-out loss", "sigma", "good rates", "runs", "diverged"}};
  const Sweep* full = FindFull(sweeps);
  for (const Sweep& sweep : sweeps) {
    const Optimum optimum = OptimumAt(sweep, step);
    const LossByRate losses = LossesAt(sweep, step);
    const auto best = std::min_element(losses.means.begin(), losses.means.end(),
                                       [](double a, double b) { return a < b || std::isnan(b); });
    const double sigma = losses.deviations[static_cast<size_t>(best - losses.means.begin())];
    int diverged = 0;
    int64_t trainable = 0;
    for (const auto& [rate, by_seed] : sweep.runs) {
      for (const auto& [seed, run] : by_seed) {
        diverged += run->diverged ? 1 : 0;
        trainable = run->trainable;
      }
    }
    const bool compared = full != nullptr && full != &sweep;
    table.rows.push_back(
        {ConditionName(sweep), HumanCount(trainable),
         optimum.bracketed ? RateText(optimum.rate) : "at the grid's edge",
         compared ? RateRatio(sweep, *full, step).Text() : "", LossText(optimum.loss),
         LossText(sigma),
         fmt::format("{} to {}", RateText(optimum.low_rate), RateText(optimum.high_rate)),
         std::to_string(sweep.NumRuns()), std::to_string(diverged)});
  }
  return table;
}

Figure LossByRateFigure(const std::string& name, std::span<const Sweep* const> sweeps,
                        int64_t step) {
  const Measure& measure = MeasureOf(sweeps.front()->spec);
  Figure figure = {.name = name,
                   .title = step > 0 ? fmt::format("{} after {} steps", measure.title, step)
                                     : fmt::format("{} at the end", measure.title),
                   .xlabel = "learning rate",
                   .ylabel = measure.axis,
                   .caption = "Mean over seeds and one standard deviation."};
  double top = 0;
  for (const Sweep* sweep : sweeps) {
    const LossByRate at = LossesAt(*sweep, step > 0 ? step : sweep->spec.steps());
    Series series = {.label = ConditionName(*sweep),
                     .dashed = sweep->spec.run.optimizer.lr_scheduler_type !=
                               sweeps.front()->spec.run.optimizer.lr_scheduler_type,
                     .shade = ShadeOf(*sweep, sweeps)};
    series.x = at.rates;
    for (size_t i = 0; i < at.rates.size(); ++i) {
      const double value = measure.Value(at.means[i]);
      series.y.push_back(value);
      series.low.push_back(value - at.deviations[i]);
      series.high.push_back(value + at.deviations[i]);
    }
    figure.series.push_back(std::move(series));
    top = std::max(top, TopOfValley(at, LossesAt(*sweep, 0)));
  }
  if (measure.higher_is_better) return figure;  // rewards are at least 0
  figure.y_max = top;
  figure.caption +=
      " Two rates to either side of every best one are shown; what lies above the figure, diverged "
      "runs among it, is in the numbers.";
  return figure;
}

std::vector<std::string> CommonNotes(const StudySettings& settings,
                                     std::span<const RunRecord> records) {
  std::vector<std::string> notes;
  const RunRecord& first = records.front();
  const auto diverged = std::count_if(records.begin(), records.end(),
                                      [](const RunRecord& record) { return record.diverged; });
  double flops = 0, seconds = 0;
  for (const RunRecord& record : records) {
    flops += record.TrainFlops();
    seconds += record.TrainSeconds();
  }
  notes.push_back(fmt::format(
      "Model {} ({} parameters, width {}), {} examples with {} trained tokens, computed in {}.",
      first.spec.model, ShortCount(first.facts.value("parameters", 0.0)),
      first.facts.value("hidden_size", 0),
      HumanCount(first.facts.value("data_examples", int64_t{0})),
      HumanCount(first.facts.value("data_trained_tokens", int64_t{0})), first.spec.dtype));
  notes.push_back(fmt::format(
      "{} runs, {} of them diverged and kept: they count with their last loss or the untrained "
      "model's, whichever is higher. {}FLOP in {} of training.",
      records.size(), diverged, ShortCount(flops), HumanDuration(seconds)));
  notes.push_back(fmt::format(
      "{} seed{}. A seed decides the order of the data and A's first values; every condition of a "
      "seed sees the same data in the same order. AdamW (beta {} and {}, eps {:g}, weight decay "
      "{:g}), gradients cut to norm {:g}, schedule {}, no warm-up.",
      settings.seeds, settings.seeds == 1 ? "" : "s", settings.optimizer.adam_beta1,
      settings.optimizer.adam_beta2, settings.optimizer.adam_epsilon,
      settings.optimizer.weight_decay, settings.optimizer.max_grad_norm,
      settings.schedules.empty() ? "constant" : settings.schedules.front()));
  notes.push_back(fmt::format(
      "Held-out loss is the mean over trained tokens, in nats. Learning rates stand {} to a factor "
      "of ten; a grid whose best rate for any seed was at an edge was extended. The best rate is "
      "the vertex of a parabola in the logarithm of the rate through the lowest point and its "
      "neighbours, for each seed; intervals are 95 % t intervals over seeds, paired where two "
      "conditions are compared. The lowest loss is the lowest one measured.",
      settings.lr_per_decade));
  return notes;
}

std::vector<std::string> EdgeNotes(std::span<const Sweep> sweeps, int64_t step) {
  std::vector<std::string> notes;
  for (const Sweep& sweep : sweeps) {
    if (OptimumAt(sweep, step).bracketed) continue;
    notes.push_back(
        fmt::format("{}: a seed has its best rate after {} steps at the edge of the grid; no "
                    "optimum is stated.",
                    sweep.spec.MethodName(), step));
  }
  return notes;
}

int CountRuns(std::span<const Sweep* const> sweeps) {
  int runs = 0;
  for (const Sweep* sweep : sweeps) runs += sweep->NumRuns();
  return runs;
}

void RequireRuns(std::span<const RunRecord> records, const char* experiment) {
  if (!records.empty()) return;
  Fail(ErrorCode::kInvalidArgument, "study {}: there is no finished run to look at", experiment);
}

}  // namespace lorikeet
