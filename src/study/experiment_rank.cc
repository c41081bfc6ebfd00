// Figure 1 of the article: loss curves by rank, each the pointwise minimum over learning rates, the
// step at which a rank departs from the common curve, and whether it then learns slower or not at
// all.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "study/comparison.h"
#include "study/experiment.h"

namespace lorikeet {
namespace {

struct RankCurves {
  const Sweep* sweep = nullptr;
  std::vector<std::vector<double>> of_seed;  // loss at steps(), by seed
  Departure departure;
  Interval slope;         // slope of the loss in ln(step) after the departure; seeds that departed
  Interval common_slope;  // slope of the highest rank over the same steps
};

struct RankData {
  std::vector<Sweep> sweeps;
  std::vector<int64_t> steps;
  std::vector<RankCurves> ranks;  // rising; the others are compared with the last
  std::vector<std::vector<double>> full;
  double threshold = 0;  // nats
};

std::vector<std::vector<double>> CurvesOf(const Sweep& sweep) {
  std::vector<std::vector<double>> curves;
  for (const uint64_t seed : sweep.Seeds()) curves.push_back(BestCurve(sweep, seed));
  return curves;
}

// The slope of a curve in ln(step) from a step onwards; not a number with fewer than three points.
double SlopeFrom(const std::vector<int64_t>& steps, const std::vector<double>& curve, double from) {
  std::vector<double> x, y;
  for (size_t i = 0; i < steps.size(); ++i) {
    if (steps[i] <= 0 || static_cast<double>(steps[i]) < from || !std::isfinite(curve[i])) continue;
    x.push_back(std::log(static_cast<double>(steps[i])));
    y.push_back(curve[i]);
  }
  return x.size() < 3 ? kUnknown : FitLine(x, y).slope;
}

void FindDeparture(const RankData& data, const std::vector<std::vector<double>>& common,
                   RankCurves* rank) {
  if (rank->of_seed.size() != common.size()) return;
  std::vector<std::vector<double>> gaps;
  for (size_t s = 0; s < common.size(); ++s) gaps.push_back(Paired(rank->of_seed[s], common[s]));
  rank->departure = DetectDeparture(data.steps, gaps, data.threshold);
  std::vector<double> slopes, common_slopes;
  for (size_t s = 0; s < common.size(); ++s) {
    const double from = rank->departure.of_seed[s];
    if (!std::isfinite(from)) continue;
    slopes.push_back(SlopeFrom(data.steps, rank->of_seed[s], from));
    common_slopes.push_back(SlopeFrom(data.steps, common[s], from));
  }
  rank->slope = MeanInterval(slopes);
  rank->common_slope = MeanInterval(common_slopes);
}

RankData ArrangeRank(const StudySettings& settings, std::span<const RunRecord> records) {
  RankData data;
  data.sweeps = GroupRuns(records);
  for (const Sweep* sweep : FindLora(data.sweeps)) {
    RankCurves curves;
    curves.sweep = sweep;
    curves.of_seed = CurvesOf(*sweep);
    data.ranks.push_back(std::move(curves));
  }
  if (const Sweep* full = FindFull(data.sweeps)) data.full = CurvesOf(*full);
  data.steps = data.sweeps.front().Steps();
  if (data.ranks.empty() || data.ranks.back().of_seed.empty()) return data;
  const std::vector<std::vector<double>> common = data.ranks.back().of_seed;
  double learned = 0;
  for (const std::vector<double>& curve : common) learned += curve.front() - curve.back();
  constexpr double kShare = 0.02;
  data.threshold =
      settings.departure_gap.value_or(kShare * learned / static_cast<double>(common.size()));
  for (RankCurves& rank : data.ranks) {
    if (&rank != &data.ranks.back()) FindDeparture(data, common, &rank);
  }
  return data;
}

// Mean and interval over seeds of the values at every step.
Series CurveSeries(const std::string& label, const std::vector<int64_t>& steps,
                   const std::vector<std::vector<double>>& curves) {
  Series series = {.label = label};
  for (size_t i = 0; i < steps.size(); ++i) {
    if (steps[i] == 0) continue;
    std::vector<double> values;
    for (const auto& curve : curves) values.push_back(curve[i]);
    const double mean = Mean(values), sigma = StandardDeviation(values);
    series.Add(static_cast<double>(steps[i]), {mean, mean - sigma, mean + sigma});
  }
  return series;
}

std::vector<const Sweep*> LoraOf(const RankData& data) {
  std::vector<const Sweep*> lora;
  for (const RankCurves& rank : data.ranks) lora.push_back(rank.sweep);
  return lora;
}

Figure CurvesFigure(const RankData& data) {
  Figure figure = {.name = "rank_curves",
                   .title = "Pointwise minimum over learning rates",
                   .xlabel = "step",
                   .ylabel = "held-out loss, nats per token",
                   .caption =
                       "For every seed the lowest loss of all rates at each step; mean over "
                       "seeds, bands of one standard deviation."};
  const auto lora = LoraOf(data);
  for (const RankCurves& rank : data.ranks) {
    Series series = CurveSeries(rank.sweep->spec.MethodName(), data.steps, rank.of_seed);
    series.shade = ShadeOf(*rank.sweep, lora);
    figure.series.push_back(std::move(series));
  }
  if (!data.full.empty()) {
    Series full = CurveSeries("full", data.steps, data.full);
    full.shade = -2;
    full.dashed = true;
    figure.series.push_back(std::move(full));
  }
  return figure;
}

// The same curves against the FLOPs of training, of which LoRA needs fewer.
Figure FlopsFigure(const RankData& data, Figure curves) {
  curves.name = "rank_flops";
  curves.title = "The same by the arithmetic spent";
  curves.xlabel = "FLOPs of training";
  curves.caption =
      "The curves above at the floating point operations of their steps, evaluation "
      "left out.";
  const auto flops_per_step = [](const Sweep& sweep) {
    const RunRecord& run = *sweep.runs.begin()->second.begin()->second;
    return run.flops_per_token * static_cast<double>(run.tokens) /
           static_cast<double>(std::max<int64_t>(run.steps, 1));
  };
  for (size_t i = 0; i < curves.series.size(); ++i) {
    const Sweep& sweep = i < data.ranks.size() ? *data.ranks[i].sweep : *FindFull(data.sweeps);
    for (double& x : curves.series[i].x) x *= flops_per_step(sweep);
  }
  return curves;
}

Figure GapFigure(const RankData& data) {
  Figure figure = {
      .name = "rank_gaps",
      .title = fmt::format("Behind {}", data.ranks.back().sweep->spec.MethodName()),
      .xlabel = "step",
      .ylabel = "nats per token",
      .caption = fmt::format("Seeds paired. A rank has left the common curve where its "
                             "gap stays above the dashed line, {:.3g} nats.",
                             data.threshold)};
  const auto lora = LoraOf(data);
  const auto& common = data.ranks.back().of_seed;
  const auto add = [&](const std::string& label, const std::vector<std::vector<double>>& curves,
                       int shade) {
    if (curves.size() != common.size()) return;
    std::vector<std::vector<double>> gaps;
    for (size_t s = 0; s < common.size(); ++s) gaps.push_back(Paired(curves[s], common[s]));
    Series series = CurveSeries(label, data.steps, gaps);
    series.shade = shade;
    figure.series.push_back(std::move(series));
  };
  for (const RankCurves& rank : data.ranks) {
    if (&rank != &data.ranks.back()) {
      add(rank.sweep->spec.MethodName(), rank.of_seed, ShadeOf(*rank.sweep, lora));
    }
  }
  add("full", data.full, -2);
  Series bound = {.label = "threshold", .points = false, .dashed = true, .shade = -2};
  bound.x = {1, static_cast<double>(data.steps.back())};
  bound.y = {data.threshold, data.threshold};
  figure.series.push_back(std::move(bound));
  return figure;
}

Figure DepartureFigure(const RankData& data) {
  Figure figure = {.name = "rank_departures",
                   .title = "Step at which a rank leaves the common curve",
                   .xlabel = "rank",
                   .ylabel = "step",
                   .caption = "Seeds in which it left, with 95 % intervals.",
                   .log_y = true};
  Series series = {.label = "departure"};
  for (const RankCurves& rank : data.ranks) {
    if (rank.departure.departed == 0) continue;
    series.Add(rank.sweep->spec.run.adapter.lora_r, rank.departure.step);
  }
  figure.series.push_back(std::move(series));
  return figure;
}

// The exponent e of departure ~ rank^e, for every seed in which two ranks or more departed.
Interval GrowthOfDeparture(const RankData& data) {
  std::vector<double> exponents;
  for (size_t s = 0; s < data.ranks.back().of_seed.size(); ++s) {
    std::vector<double> x, y;
    for (const RankCurves& rank : data.ranks) {
      if (s >= rank.departure.of_seed.size() || !std::isfinite(rank.departure.of_seed[s])) continue;
      x.push_back(std::log(rank.sweep->spec.run.adapter.lora_r));
      y.push_back(std::log(rank.departure.of_seed[s]));
    }
    exponents.push_back(x.size() < 2 ? kUnknown : FitLine(x, y).slope);
  }
  return MeanInterval(exponents);
}

std::string DepartureWords(const RankCurves& rank, double threshold, int64_t last) {
  const std::string name = rank.sweep->spec.MethodName();
  const Departure& d = rank.departure;
  if (d.departed == 0) {
    return fmt::format("{} never stays {:.3g} nats behind in {} steps, in any of {} seeds.", name,
                       threshold, last, d.seeds);
  }
  std::string text = fmt::format("{} leaves the common curve at step {}", name, d.step.Text());
  if (d.departed < d.seeds) {
    text += fmt::format(", but only in {} of {} seeds", d.departed, d.seeds);
  }
  text += ".";
  if (!std::isfinite(rank.slope.value)) return text;
  const bool falls = rank.slope.Known() && rank.slope.high < 0;
  const bool rises = rank.slope.Known() && rank.slope.low > 0;
  text += fmt::format(
      " From there its loss changes by {} nats for every factor e of steps, that of "
      "the highest rank by {}: ",
      rank.slope.Text(), rank.common_slope.Text());
  text += falls   ? "slower, but no floor."
          : rises ? "it gets worse."
                  : "whether it still falls is not decided.";
  return text;
}

void Conclude(const RankData& data, Report* report) {
  const auto lora = LoraOf(data);
  for (const RankCurves& rank : data.ranks) {
    if (&rank == &data.ranks.back()) continue;
    report->conclusions.push_back(DepartureWords(rank, data.threshold, data.steps.back()));
  }
  const Interval growth = GrowthOfDeparture(data);
  if (std::isfinite(growth.value)) {
    const char* words = !growth.Known()   ? "one seed gives no interval"
                        : growth.low > 0  ? "it grows with the rank, as the article says"
                        : growth.high < 0 ? "it falls with the rank, against the article"
                                          : "whether it grows with the rank is not decided";
    report->conclusions.push_back(fmt::format(
        "The step of departure goes as the rank to the power {}: {}.", growth.Text(), words));
    report->findings.push_back(
        {"exponent of the departure step in the rank", "above 0: the step grows with the rank",
         growth, AgreesWith(growth, 0, std::numeric_limits<double>::infinity()), CountRuns(lora)});
  }
  for (const RankCurves& rank : data.ranks) {
    if (!std::isfinite(rank.slope.value)) continue;
    const std::vector<const Sweep*> pair = {rank.sweep, lora.back()};
    report->findings.push_back(
        {fmt::format("slope of the loss of {} in ln(step) after its departure",
                     rank.sweep->spec.MethodName()),
         "below 0: slower, not floored", rank.slope,
         AgreesWith(rank.slope, -std::numeric_limits<double>::infinity(), 0), CountRuns(pair)});
  }
  const Sweep* full = FindFull(data.sweeps);
  if (full == nullptr) return;
  const Interval gap = LossGap(*lora.back(), *full, data.steps.back());
  report->conclusions.push_back(fmt::format("{} ends {} nats above full fine-tuning: {} 0.",
                                            lora.back()->spec.MethodName(), gap.Text(),
                                            AgainstValue(gap, 0)));
}

Table DepartureTable(const RankData& data) {
  Table table = {.name = "rank_departure_steps",
                 .title = "Departures",
                 .header = {"condition", "parameters", "left in seeds", "step", "slope after it",
                            "slope of the highest rank there"}};
  for (const RankCurves& rank : data.ranks) {
    if (&rank == &data.ranks.back()) continue;
    int64_t trainable = 0;
    if (!rank.sweep->runs.empty())
      trainable = rank.sweep->runs.begin()->second.begin()->second->trainable;
    table.rows.push_back({rank.sweep->spec.MethodName(), std::to_string(trainable),
                          fmt::format("{} of {}", rank.departure.departed, rank.departure.seeds),
                          rank.departure.departed > 0 ? rank.departure.step.Text() : "never",
                          rank.slope.Text(), rank.common_slope.Text()});
  }
  return table;
}

StudyPlan Plan(const PlanContext& context) {
  StudyPlan plan;
  const StudyModel& model = *context.models.front();
  plan.bracket_steps = context.settings.ShortSteps();
  plan.swept.push_back(FullCondition(context.settings, model));
  for (const int rank : context.settings.Ranks()) {
    plan.swept.push_back(LoraCondition(context.settings, model, rank));
  }
  return plan;
}

Report Analyse(const StudySettings& settings, std::span<const RunRecord> records) {
  RequireRuns(records, "rank");
  const RankData data = ArrangeRank(settings, records);
  Report report = {.experiment = "rank",
                   .title = "Rank",
                   .question =
                       "At which step does an adapter of each rank leave the curve that all "
                       "share at first, and does it then stop learning or learn slower?"};
  if (data.ranks.size() < 2) {
    report.conclusions.push_back("One rank leaves nothing to compare; give several.");
    return report;
  }
  report.figures.push_back(CurvesFigure(data));
  report.figures.push_back(FlopsFigure(data, report.figures.back()));
  report.figures.push_back(GapFigure(data));
  report.figures.push_back(DepartureFigure(data));
  Conclude(data, &report);
  report.tables.push_back(DepartureTable(data));
  report.tables.push_back(OptimumTable("rank_optima", data.sweeps, data.steps.back()));
  report.notes = CommonNotes(settings, records);
  report.notes.push_back(fmt::format(
      "A rank has left when its loss stays more than {:.3g} nats above that of {} to the end; the "
      "step is interpolated in its logarithm, for each seed.",
      data.threshold, data.ranks.back().sweep->spec.MethodName()));
  for (const std::string& note : EdgeNotes(data.sweeps, data.steps.back())) {
    report.notes.push_back(note);
  }
  return report;
}

}  // namespace

constinit const Experiment kRankExperiment = {
    .name = "rank",
    .summary = "at which step each rank leaves the common curve",
    .plan = Plan,
    .analyse = Analyse};

}  // namespace lorikeet
