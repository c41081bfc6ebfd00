#include "study/reward_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "core/format.h"
#include "study/comparison.h"

namespace lorikeet {
namespace {

std::vector<const Sweep*> All(const RewardData& data) {
  std::vector<const Sweep*> all;
  for (const Sweep& sweep : data.sweeps) all.push_back(&sweep);
  return all;
}

// Share of the held-out problems that a run solves; 0 if it diverged.
double SolvedAt(const RunRecord& run, int64_t step) {
  for (const EvalPoint& point : run.evals) {
    if (point.step == step) return point.solved;
  }
  return run.diverged && step > run.steps ? 0 : kUnknown;
}

// Mean of a series over runs, with one standard deviation if there are several.
void AddMean(double x, const std::vector<double>& values, Series* series) {
  const double mean = Mean(values);
  if (!std::isfinite(mean)) return;
  const double deviation = StandardDeviation(values);
  series->Add(x, Interval{mean, mean - deviation, mean + deviation, 0});
}

std::string AtBestLabel(const Sweep& sweep, std::span<const RunRecord* const> runs) {
  return fmt::format("{}, {}", sweep.spec.MethodName(),
                     RateText(runs.front()->spec.learning_rate()));
}

// One line per condition, at its best rate: the mean over its runs of `of` at each step.
Figure AtBestFigure(Figure figure, const RewardData& data,
                    const std::function<double(const RunRecord&, int64_t step)>& of,
                    const std::vector<int64_t>& steps) {
  const std::vector<const Sweep*> all = All(data);
  figure.xlabel = "step";
  figure.log_x = false;
  for (const Sweep* sweep : all) {
    const std::vector<const RunRecord*> runs = RunsAtBest(*sweep, data.steps);
    if (runs.empty()) continue;
    Series series = {.label = AtBestLabel(*sweep, runs), .shade = ShadeOf(*sweep, all)};
    for (const int64_t step : steps) {
      std::vector<double> values;
      for (const RunRecord* run : runs) values.push_back(of(*run, step));
      AddMean(static_cast<double>(step), values, &series);
    }
    figure.series.push_back(std::move(series));
  }
  return figure;
}

// Means over windows of steps, so that curves can be distinguished.
constexpr int64_t kWindows = 24;

Figure WindowedFigure(Figure figure, const RewardData& data, double RewardStep::*member) {
  const int64_t window = std::max<int64_t>(1, data.steps / kWindows);
  std::vector<int64_t> steps;
  for (int64_t step = window; step <= data.steps; step += window) steps.push_back(step);
  figure.caption += window > 1 ? fmt::format(" Means over {} steps.", window) : "";
  return AtBestFigure(
      std::move(figure), data,
      [=](const RunRecord& run, int64_t step) {
        const auto end = std::min(step, std::ssize(run.reward_steps));
        std::vector<double> values;
        for (int64_t i = step - window; i < end; ++i) {
          values.push_back(run.reward_steps[static_cast<size_t>(i)].*member);
        }
        return values.empty() && run.diverged ? 0 : Mean(values);
      },
      steps);
}

Figure SolvedByRate(const RewardData& data) {
  const std::vector<const Sweep*> all = All(data);
  Figure figure = {.name = "rl_solved_by_rate",
                   .title = fmt::format("Held-out problems after {} steps", data.steps),
                   .xlabel = "learning rate",
                   .ylabel = "share solved greedily",
                   .caption = "Mean over seeds and one standard deviation."};
  for (const Sweep* sweep : all) {
    Series series = {.label = sweep->spec.MethodName(), .shade = ShadeOf(*sweep, all)};
    for (const auto& [rate, by_seed] : sweep->runs) {
      std::vector<double> solved;
      for (const auto& [seed, run] : by_seed) solved.push_back(SolvedAt(*run, data.steps));
      AddMean(rate, solved, &series);
    }
    figure.series.push_back(std::move(series));
  }
  return figure;
}

std::string BandText(const GoodBand& band) {
  return fmt::format("{}{} to {}{}", band.open_low ? "below " : "", RateText(band.low.value),
                     band.open_high ? "above " : "", RateText(band.high.value));
}

std::vector<std::string> OptimumRow(const RewardData& data, const Sweep& sweep) {
  const Optimum optimum = OptimumAt(sweep, data.steps);
  const GoodBand band = BandOf(sweep, data.steps);
  const std::vector<const RunRecord*> best = RunsAtBest(sweep, data.steps);
  int diverged = 0, runaway = 0;
  int64_t trainable = 0;
  for (const auto& [rate, by_seed] : sweep.runs) {
    for (const auto& [seed, run] : by_seed) {
      diverged += run->diverged ? 1 : 0;
      runaway += RanAway(*run) ? 1 : 0;
      trainable = run->trainable;
    }
  }
  const bool compared = data.full != nullptr && data.full != &sweep;
  return {sweep.spec.MethodName(),
          HumanCount(trainable),
          optimum.bracketed ? RateText(optimum.rate) : "at the grid's edge",
          compared ? RateRatio(sweep, *data.full, data.steps).Text() : "",
          RewardOf(sweep, data.steps).Text(),
          BandText(band),
          WidthText(band),
          ShareText(SolvedBy(best, 0)),
          ShareText(SolvedBy(best, data.steps)),
          std::to_string(sweep.NumRuns()),
          std::to_string(diverged),
          std::to_string(runaway)};
}

}  // namespace

RewardData ArrangeRewards(std::span<const RunRecord> records) {
  RewardData data;
  data.sweeps = GroupRuns(records);
  for (const Sweep& sweep : data.sweeps) data.steps = std::max(data.steps, sweep.spec.steps());
  data.full = FindFull(data.sweeps);
  data.lora = FindLora(data.sweeps);
  return data;
}

Interval RewardOf(const Sweep& sweep, int64_t step) {
  return MeasureOf(sweep.spec).Value(OptimumAt(sweep, step).loss);
}

std::vector<double> SolvedBy(std::span<const RunRecord* const> runs, int64_t step) {
  std::vector<double> solved;
  for (const RunRecord* run : runs) solved.push_back(SolvedAt(*run, step));
  return solved;
}

bool RanAway(const RunRecord& run) {
  return !run.reward_steps.empty() && run.reward_steps.back().runaway;
}

std::string WidthText(const GoodBand& band) {
  return fmt::format("{}{}", band.Open() ? "at least " : "", band.width.Text());
}

std::string ShareText(std::span<const double> shares) {
  const Interval share = MeanInterval(shares);
  if (!std::isfinite(share.value)) return "unknown";
  if (!share.Known()) return fmt::format("{:.1f} %", 100 * share.value);
  return fmt::format("{:.1f} % ({:.1f} to {:.1f})", 100 * share.value, 100 * share.low,
                     100 * share.high);
}

std::vector<Figure> RewardFigures(const RewardData& data) {
  const std::vector<const Sweep*> all = All(data);
  const std::string seeds =
      "At each condition's best rate; mean over seeds, one standard "
      "deviation.";
  std::vector<Figure> figures = {LossByRateFigure("rl_reward", all, data.steps),
                                 SolvedByRate(data)};
  figures.push_back(WindowedFigure({.name = "rl_curves",
                                    .title = "Learning curves",
                                    .ylabel = "reward of the training problems",
                                    .caption = seeds},
                                   data, &RewardStep::reward));
  figures.push_back(AtBestFigure({.name = "rl_solved",
                                  .title = "Held-out problems during training",
                                  .ylabel = "share solved greedily",
                                  .caption = seeds},
                                 data, SolvedAt, data.sweeps.front().Steps()));
  figures.push_back(WindowedFigure({.name = "rl_length",
                                    .title = "Length of the completions",
                                    .ylabel = "tokens, mean",
                                    .caption = seeds},
                                   data, &RewardStep::mean_length));
  return figures;
}

Table RewardOptima(const RewardData& data) {
  Table table = {.name = "rl_optima",
                 .title = fmt::format("Optima after {} steps", data.steps),
                 .header = {"condition", "parameters", "best learning rate", "times full",
                            "highest final reward", "good rates", "wide, factor", "solved before",
                            "solved after", "runs", "diverged", "ran away"}};
  for (const Sweep& sweep : data.sweeps) table.rows.push_back(OptimumRow(data, sweep));
  return table;
}

}  // namespace lorikeet
