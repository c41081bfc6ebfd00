// Figure 2 of the article and its statements on run length: the best learning rate of every rank
// and of full fine-tuning.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "study/comparison.h"
#include "study/experiment.h"

namespace lorikeet {
namespace {

struct LrData {
  std::vector<Sweep> sweeps;  // sweeps of the first schedule
  std::vector<Sweep> other_schedules;
  const Sweep* full = nullptr;
  std::vector<const Sweep*> lora;  // by rank
  int64_t steps = 0;
};

LrData ArrangeLr(const StudySettings& settings, std::span<const RunRecord> records) {
  LrData data;
  const std::string first = settings.schedules.empty() ? "constant" : settings.schedules.front();
  for (Sweep& sweep : GroupRuns(records)) {
    data.steps = std::max(data.steps, sweep.spec.steps());
    (sweep.spec.run.optimizer.lr_scheduler_type == first ? data.sweeps : data.other_schedules)
        .push_back(std::move(sweep));
  }
  data.full = FindFull(data.sweeps);
  data.lora = FindLora(data.sweeps);
  return data;
}

std::vector<const Sweep*> All(const LrData& data) {
  std::vector<const Sweep*> all;
  for (const Sweep& sweep : data.sweeps) all.push_back(&sweep);
  return all;
}

Figure OptimumByRank(const LrData& data) {
  Figure figure = {.name = "lr_optimum_by_rank",
                   .title = fmt::format("Best learning rate after {} steps", data.steps),
                   .xlabel = "rank",
                   .ylabel = "best learning rate",
                   .caption =
                       "Vertices of the parabolas with 95 % intervals over seeds; the line "
                       "without points is full fine-tuning.",
                   .log_y = true};
  Series lora = {.label = "LoRA"};
  for (const Sweep* sweep : data.lora) {
    const Optimum optimum = OptimumAt(*sweep, data.steps);
    if (!optimum.bracketed) continue;
    lora.Add(sweep->spec.run.adapter.lora_r, optimum.rate);
  }
  if (data.full != nullptr && !lora.x.empty()) {
    const Optimum optimum = OptimumAt(*data.full, data.steps);
    Series full = {.label = "full", .points = false, .shade = -2};
    for (const double x : {lora.x.front(), lora.x.back()}) {
      full.Add(x, optimum.rate);
    }
    figure.series.push_back(std::move(full));
  }
  figure.series.push_back(std::move(lora));
  return figure;
}

Figure RatioByLength(const LrData& data) {
  Figure figure = {.name = "lr_ratio_by_length",
                   .title = "Best rate of LoRA over that of full fine-tuning",
                   .xlabel = "steps of the run",
                   .ylabel = "ratio",
                   .caption =
                       "At a constant rate the beginning of a long run is a short one. "
                       "Lengths at which an optimum lies at the grid's edge are left out.",
                   .log_y = true};
  for (const Sweep* sweep : data.lora) {
    Series series = {.label = sweep->spec.MethodName(), .shade = ShadeOf(*sweep, data.lora)};
    for (const int64_t step : sweep->Steps()) {
      if (step == 0) continue;
      const Interval ratio = RateRatio(*sweep, *data.full, step);
      if (!std::isfinite(ratio.value)) continue;
      series.Add(static_cast<double>(step), ratio.value);
    }
    figure.series.push_back(std::move(series));
  }
  return figure;
}

// The first step, interpolated in its logarithm, at which B's norm is above A's; infinity if none.
double StepOfPassing(const RunRecord& run) {
  for (size_t i = 1; i < run.evals.size(); ++i) {
    const EvalPoint &before = run.evals[i - 1], &now = run.evals[i];
    const double behind = before.norm_a - before.norm_b, ahead = now.norm_b - now.norm_a;
    if (ahead <= 0) continue;
    const double x0 = std::log(static_cast<double>(std::max<int64_t>(1, before.step)));
    const double x1 = std::log(static_cast<double>(now.step));
    return std::exp(x0 + (x1 - x0) * std::max(0.0, behind) / (std::max(0.0, behind) + ahead));
  }
  return std::numeric_limits<double>::infinity();
}

Figure NormsFigure(const LrData& data) {
  const Sweep& top = *data.lora.back();
  Figure figure = {
      .name = "lr_norms",
      .title = fmt::format("Spectral norms at the best rate, {}", top.spec.MethodName()),
      .xlabel = "step",
      .ylabel = "norm, mean over modules",
      .caption =
          "Mean over seeds. B begins at zero: until it has grown, A hardly "
          "counts, and a short run wants a higher rate.",
      .log_y = true};
  Series a = {.label = "A"}, b = {.label = "B"}, update = {.label = "(alpha / r) B A"};
  const std::vector<const RunRecord*> runs = RunsAtBest(top, data.steps);
  for (const int64_t step : top.Steps()) {
    std::vector<double> of_a, of_b, of_update;
    for (const RunRecord* run : runs) {
      for (const EvalPoint& point : run->evals) {
        if (point.step != step || step == 0) continue;
        of_a.push_back(point.norm_a);
        of_b.push_back(point.norm_b);
        of_update.push_back(point.norm_update);
      }
    }
    if (of_a.empty()) continue;
    for (const auto& [series, values] :
         {std::pair(&a, &of_a), std::pair(&b, &of_b), std::pair(&update, &of_update)}) {
      series->Add(static_cast<double>(step), Mean(*values));
    }
  }
  figure.series = {a, b, update};
  return figure;
}

void ConcludeNorms(const LrData& data, Report* report) {
  for (const Sweep* sweep : {data.lora.front(), data.lora.back()}) {
    const std::vector<const RunRecord*> runs = RunsAtBest(*sweep, data.steps);
    if (runs.empty() || runs.front()->evals.back().norm_a == 0) continue;
    std::vector<double> logs;
    for (const RunRecord* run : runs) logs.push_back(std::log10(StepOfPassing(*run)));
    const Interval passing = FromLog10(MeanInterval(logs));
    const std::string name = sweep->spec.MethodName();
    report->conclusions.push_back(
        passing.count == 0
            ? fmt::format("{}: at its best rate the spectral norm of B stays below that of A for "
                          "all {} steps.",
                          name, data.steps)
            : fmt::format("{}: at its best rate the spectral norm of B passes that of A at step {} "
                          "({} of {} seeds).",
                          name, passing.Text(), passing.count, runs.size()));
    if (data.lora.size() == 1) break;
  }
}

std::string RatioSentence(const Interval& ratio, const Sweep& lora, int64_t steps) {
  return fmt::format(
      "After {} steps the best learning rate of {} is {} times that of full fine-tuning: {} the "
      "article's 10.",
      steps, lora.spec.MethodName(), ratio.Text(), AgainstValue(ratio, 10));
}

// The rate ratio of a long run divided by that of a short one, seeds paired.
Interval RatioBetweenLengths(const Sweep& lora, const Sweep& full, int64_t short_run,
                             int64_t long_run) {
  const auto ratios = [&](int64_t step) {
    return Paired(OptimumAt(lora, step).log_rates, OptimumAt(full, step).log_rates);
  };
  return FromLog10(MeanInterval(Paired(ratios(short_run), ratios(long_run))));
}

void ConcludeRatios(const StudySettings& settings, const LrData& data, Report* report) {
  const Sweep& top = *data.lora.back();
  const std::vector<const Sweep*> pair = {&top, data.full};
  const Interval ratio = RateRatio(top, *data.full, data.steps);
  if (!std::isfinite(ratio.value)) {
    report->conclusions.push_back(fmt::format(
        "No ratio of best rates is stated for {}: an optimum lies at the edge of its grid.",
        top.spec.MethodName()));
    return;
  }
  report->conclusions.push_back(RatioSentence(ratio, top, data.steps));
  report->findings.push_back({fmt::format("best rate of {} over that of full, {} steps",
                                          top.spec.MethodName(), data.steps),
                              "10 (9.8 at rank 512, 7.3 at rank 32, in a long run)", ratio,
                              AgreesWith(ratio, 5, 15), CountRuns(pair)});
  for (const int64_t step : settings.ShortSteps()) {
    const Interval early = RateRatio(top, *data.full, step);
    if (!std::isfinite(early.value)) continue;
    const Optimum at_short = OptimumAt(top, step), at_long = OptimumAt(top, data.steps);
    const Interval moved = FromLog10(MeanInterval(Paired(at_short.log_rates, at_long.log_rates)));
    report->conclusions.push_back(fmt::format(
        "In a run of {} steps the ratio is {}; LoRA's own best rate is then {} times that of the "
        "long run, {} 1.",
        step, early.Text(), moved.Text(), AgainstValue(moved, 1)));
    report->findings.push_back(
        {fmt::format("best rate of {} over that of full, {} steps", top.spec.MethodName(), step),
         "about 15 below some 100 steps", early, AgreesWith(early, 10, 20), CountRuns(pair)});
    const Interval growth = RatioBetweenLengths(top, *data.full, step, data.steps);
    report->findings.push_back(
        {fmt::format("that ratio in {} steps over that in {}", step, data.steps),
         "above 1 (15 over 10)", growth,
         AgreesWith(growth, 1, std::numeric_limits<double>::infinity()), CountRuns(pair)});
  }
}

void ConcludeRanks(const LrData& data, Report* report) {
  const Sweep* low = nullptr;
  for (const Sweep* sweep : data.lora) {
    if (low == nullptr && sweep->spec.run.adapter.lora_r >= 4) low = sweep;
  }
  const Sweep* top = data.lora.back();
  if (low == nullptr || low == top) return;
  const Interval moved = RateRatio(*top, *low, data.steps);
  if (!std::isfinite(moved.value)) return;
  const std::vector<const Sweep*> pair = {top, low};
  report->conclusions.push_back(fmt::format(
      "From rank {} to rank {} the best rate changes by a factor of {}, {}.",
      low->spec.run.adapter.lora_r, top->spec.run.adapter.lora_r, moved.Text(),
      moved.Known() && moved.low > 0.5 && moved.high < 2 ? "less than 2 as the article says"
      : moved.Known() && (moved.low > 2 || moved.high < 0.5)
          ? "more than the article's 2"
          : "which leaves open whether it is less than the article's 2"));
  report->findings.push_back(
      {fmt::format("best rate at rank {} over that at rank {}", top->spec.run.adapter.lora_r,
                   low->spec.run.adapter.lora_r),
       "less than 2 between rank 4 and 512 (2.1 in its figure)", moved, AgreesWith(moved, 0.5, 2.1),
       CountRuns(pair)});
}

// Concludes whether LoRA's lowest loss equals that of full fine-tuning.
Finding Equality(const std::string& claim, const Sweep& lora, const Sweep& full, int64_t steps) {
  const Interval gap = LossGap(lora, full, steps);
  const double margin = EquivalenceMargin(full, steps);
  const std::vector<const Sweep*> pair = {&lora, &full};
  return {claim, "equal for high ranks (0.0007 to 0.0026 nats)", gap,
          AgreesWith(gap, -margin, margin), CountRuns(pair)};
}

void ConcludeMinima(const LrData& data, Report* report) {
  const Sweep& top = *data.lora.back();
  const Interval gap = LossGap(top, *data.full, data.steps);
  std::string words = "not to be told from equal";
  if (gap.Known() && gap.low > 0) words = "full fine-tuning is better";
  if (gap.Known() && gap.high < 0) words = "LoRA is better";
  if (!gap.Known()) words = "one seed does not say whether that is more than noise";
  report->conclusions.push_back(fmt::format(
      "At their best rates {} ends {} nats above full fine-tuning, {:.2g} % of what that learns: "
      "{}.",
      top.spec.MethodName(), gap.Text(), 100 * gap.value / LearnedBy(*data.full, data.steps),
      words));
  report->findings.push_back(
      Equality(fmt::format("lowest loss of {} less that of full, nats (2 % of what is learned: "
                           "{:.3g})",
                           top.spec.MethodName(), EquivalenceMargin(*data.full, data.steps)),
               top, *data.full, data.steps));
}

// Conditions that were swept at two schedules, each after the one that it is compared with.
std::vector<const Sweep*> AtTwoSchedules(const LrData& data) {
  std::vector<const Sweep*> pairs;
  for (const Sweep& other : data.other_schedules) {
    for (const Sweep& sweep : data.sweeps) {
      if (sweep.spec.MethodName() != other.spec.MethodName()) continue;
      pairs.push_back(&sweep);
      pairs.push_back(&other);
    }
  }
  return pairs;
}

// Compares the highest rank with full fine-tuning again, both at the best rates of another
// schedule.
void ConcludeAtSchedule(const Sweep& lora, const Sweep& full, int64_t steps, Report* report) {
  const std::vector<const Sweep*> pair = {&lora, &full};
  const std::string name = lora.spec.MethodName();
  const std::string& schedule = lora.spec.run.optimizer.lr_scheduler_type;
  const Interval ratio = RateRatio(lora, full, steps), gap = LossGap(lora, full, steps);
  report->conclusions.push_back(fmt::format(
      "With the {} schedule the best rate of {} is {} times that of full fine-tuning, and its "
      "lowest loss less that of full is {} nats, {} 0.",
      schedule, name, ratio.Text(), gap.Text(), AgainstValue(gap, 0)));
  report->findings.push_back(
      {fmt::format("best rate of {} over that of full, {} schedule", name, schedule),
       "10 (9.8 in its fit over models)", ratio, AgreesWith(ratio, 5, 15), CountRuns(pair)});
  report->findings.push_back(Equality(
      fmt::format("lowest loss of {} less that of full, {} schedule, nats", name, schedule), lora,
      full, steps));
}

void ConcludeSchedules(const LrData& data, Report* report) {
  const std::vector<const Sweep*> pairs = AtTwoSchedules(data);
  for (size_t i = 0; i + 1 < pairs.size(); i += 2) {
    const Sweep &sweep = *pairs[i], &other = *pairs[i + 1];
    const Interval moved = RateRatio(other, sweep, data.steps);
    const Interval gap = LossGap(other, sweep, data.steps);
    const std::string name = sweep.spec.MethodName();
    report->conclusions.push_back(fmt::format(
        "{}: with the {} schedule the best peak rate is {} times that of the {} one, and the "
        "lowest loss differs by {} nats.",
        name, other.spec.run.optimizer.lr_scheduler_type, moved.Text(),
        sweep.spec.run.optimizer.lr_scheduler_type, gap.Text()));
    const int runs = sweep.NumRuns() + other.NumRuns();
    report->findings.push_back({fmt::format("best peak rate of {}, {} schedule over {}", name,
                                            other.spec.run.optimizer.lr_scheduler_type,
                                            sweep.spec.run.optimizer.lr_scheduler_type),
                                "above 1 is to be expected; it has no number", moved,
                                Agreement::kUndecided, runs});
    report->findings.push_back({fmt::format("lowest loss of {}, {} schedule less {}, nats", name,
                                            other.spec.run.optimizer.lr_scheduler_type,
                                            sweep.spec.run.optimizer.lr_scheduler_type),
                                "no number", gap, Agreement::kUndecided, runs});
  }
  for (const Sweep& lora : data.other_schedules) {
    for (const Sweep& full : data.other_schedules) {
      if (!full.spec.full() || lora.spec.full() ||
          full.spec.run.optimizer.lr_scheduler_type != lora.spec.run.optimizer.lr_scheduler_type)
        continue;
      ConcludeAtSchedule(lora, full, data.steps, report);
    }
  }
  if (pairs.empty()) return;
  report->figures.push_back(LossByRateFigure("lr_loss_schedules", pairs, data.steps));
  report->figures.back().title += ", by schedule";
}

StudyPlan Plan(const PlanContext& context) {
  const StudySettings& settings = context.settings;
  const StudyModel& model = *context.models.front();
  StudyPlan plan;
  plan.bracket_steps = settings.ShortSteps();
  plan.swept.push_back(FullCondition(settings, model));
  for (const int rank : settings.Ranks()) {
    plan.swept.push_back(LoraCondition(settings, model, rank));
  }
  // Other schedules, swept around their own default rates, for the highest rank and for full.
  for (size_t i = 1; i < settings.schedules.size(); ++i) {
    StudySettings other = settings;
    other.schedules = {settings.schedules[i]};
    plan.swept.push_back(FullCondition(other, model));
    plan.swept.push_back(LoraCondition(other, model, settings.Ranks().back()));
  }
  return plan;
}

Report Analyse(const StudySettings& settings, std::span<const RunRecord> records) {
  RequireRuns(records, "lr");
  const LrData data = ArrangeLr(settings, records);
  Report report = {.experiment = "lr",
                   .title = "Learning rate",
                   .question =
                       "Where does the best learning rate lie, for every rank and for full "
                       "fine-tuning, and does it depend on how long a run is?"};
  report.figures.push_back(LossByRateFigure("lr_loss", All(data), data.steps));
  for (const int64_t step : settings.ShortSteps()) {
    report.figures.push_back(
        LossByRateFigure(fmt::format("lr_loss_{}_steps", step), All(data), step));
  }
  report.figures.push_back(OptimumByRank(data));
  if (data.full != nullptr && !data.lora.empty()) {
    report.figures.push_back(RatioByLength(data));
    ConcludeRatios(settings, data, &report);
    ConcludeRanks(data, &report);
    ConcludeMinima(data, &report);
    ConcludeNorms(data, &report);
    report.figures.push_back(NormsFigure(data));
  }
  ConcludeSchedules(data, &report);
  report.tables.push_back(OptimumTable("lr_optima", data.sweeps, data.steps));
  for (const int64_t step : settings.ShortSteps()) {
    report.tables.push_back(
        OptimumTable(fmt::format("lr_optima_{}_steps", step), data.sweeps, step));
  }
  if (!data.other_schedules.empty()) {
    report.tables.push_back(
        OptimumTable("lr_optima_other_schedules", data.other_schedules, data.steps));
  }
  report.notes = CommonNotes(settings, records);
  for (const std::string& note : EdgeNotes(data.sweeps, data.steps)) report.notes.push_back(note);
  return report;
}

}  // namespace

constinit const Experiment kLrExperiment = {
    .name = "lr",
    .summary = "final loss against learning rate, for every rank and for full",
    .plan = Plan,
    .analyse = Analyse};

}  // namespace lorikeet
