// Figures 4 and 5 of the article: which modules are to be adapted, at equal rank and at equal
// numbers of parameters.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "study/comparison.h"
#include "study/experiment.h"

namespace lorikeet {
namespace {

using Targets = std::vector<std::string>;

SweptCondition ConditionOn(const StudySettings& settings, const StudyModel& model,
                           const Targets& targets, int rank) {
  SweptCondition condition = LoraCondition(settings, model, rank);
  condition.spec.target_modules = targets;
  return condition;
}

// The rank at which these modules have about so many parameters.
int RankFor(const StudySettings& settings, const StudyModel& model, const Targets& targets,
            int64_t parameters) {
  const int64_t per_rank = TrainableOf(ConditionOn(settings, model, targets, 1).spec, model);
  return static_cast<int>(std::max<int64_t>(1, (parameters + per_rank / 2) / per_rank));
}

int64_t TrainableOfSweep(const Sweep& sweep) {
  return sweep.runs.begin()->second.begin()->second->trainable;
}

const Sweep* Find(const std::vector<Sweep>& sweeps, const Targets& targets, int64_t parameters) {
  const Sweep* nearest = nullptr;
  double least = 0;
  for (const Sweep& sweep : sweeps) {
    if (sweep.spec.full || sweep.spec.target_modules != targets) continue;
    const double off = std::abs(
        std::log(static_cast<double>(TrainableOfSweep(sweep)) / static_cast<double>(parameters)));
    if (nearest == nullptr || off < least) {
      nearest = &sweep;
      least = off;
    }
  }
  return nearest;
}

Figure CurvesFigure(const std::vector<Sweep>& sweeps) {
  Figure figure = {.name = "layers_curves",
                   .title = "Pointwise minimum over learning rates",
                   .xlabel = "step",
                   .ylabel = "held-out loss, nats per token",
                   .caption = "Lowest loss of all rates at each step, mean over seeds."};
  for (const Sweep& sweep : sweeps) {
    Series series = {.label = sweep.spec.MethodName()};
    if (sweep.spec.full) series.shade = -2;
    std::vector<std::vector<double>> curves;
    for (const uint64_t seed : sweep.Seeds()) curves.push_back(BestCurve(sweep, seed));
    const std::vector<int64_t> steps = sweep.Steps();
    for (size_t i = 0; i < steps.size(); ++i) {
      if (steps[i] == 0) continue;
      std::vector<double> values;
      for (const auto& curve : curves) values.push_back(curve[i]);
      series.Add(static_cast<double>(steps[i]), Mean(values));
    }
    figure.series.push_back(std::move(series));
  }
  return figure;
}

Figure LossByParameters(const std::vector<Sweep>& sweeps, int64_t steps) {
  Figure figure = {.name = "layers_parameters",
                   .title = fmt::format("Lowest held-out loss after {} steps", steps),
                   .xlabel = "trained parameters",
                   .ylabel = "held-out loss, nats per token",
                   .caption = "Every point at its own best rate, with 95 % intervals over seeds."};
  for (const Sweep& sweep : sweeps) {
    const Optimum optimum = OptimumAt(sweep, steps);
    const std::string label =
        sweep.spec.full ? "full" : fmt::format("{}", fmt::join(sweep.spec.target_modules, ", "));
    auto found = std::find_if(figure.series.begin(), figure.series.end(),
                              [&](const Series& series) { return series.label == label; });
    if (found == figure.series.end()) {
      figure.series.push_back({.label = label});
      found = figure.series.end() - 1;
      if (sweep.spec.full) found->shade = -2;
    }
    found->Add(static_cast<double>(TrainableOfSweep(sweep)), optimum.loss);
  }
  for (Series& series : figure.series) series.line = series.x.size() > 1;
  return figure;
}

void Compare(const Sweep* a, const Sweep* b, int64_t steps, const std::string& how,
             const std::string& article, double from, double to, Report* report) {
  if (a == nullptr || b == nullptr || a == b) return;
  const Interval gap = LossGap(*a, *b, steps);
  const std::vector<const Sweep*> pair = {a, b};
  const char* words = !gap.Known()   ? "one seed does not say whether that is more than noise"
                      : gap.low > 0  ? "worse"
                      : gap.high < 0 ? "better"
                                     : "not to be told from equal";
  report->conclusions.push_back(fmt::format("At {} {} ends {} nats above {}: {}.", how,
                                            a->spec.MethodName(), gap.Text(), b->spec.MethodName(),
                                            words));
  report->findings.push_back({fmt::format("loss of {} less that of {}, {}", a->spec.MethodName(),
                                          b->spec.MethodName(), how),
                              article, gap, AgreesWith(gap, from, to), CountRuns(pair)});
}

}  // namespace

StudyPlan PlanLayers(const PlanContext& context) {
  const StudySettings& settings = context.settings;
  const StudyModel& model = *context.models.front();
  const int rank = settings.Ranks().back();
  StudyPlan plan;
  plan.swept.push_back(FullCondition(settings, model));
  const Targets attention = {"attention"}, mlp = {"mlp"}, all = {"all-linear"};
  const SweptCondition mlp_condition = ConditionOn(settings, model, mlp, rank);
  const int64_t parameters = TrainableOf(mlp_condition.spec, model);
  plan.swept.push_back(mlp_condition);
  plan.swept.push_back(ConditionOn(settings, model, attention, rank));
  plan.swept.push_back(ConditionOn(settings, model, all, rank));
  for (const Targets& targets : {attention, all}) {
    const int equal = RankFor(settings, model, targets, parameters);
    if (equal != rank) plan.swept.push_back(ConditionOn(settings, model, targets, equal));
  }
  return plan;
}

Report AnalyseLayers(const StudySettings& settings, std::span<const RunRecord> records) {
  RequireRuns(records, "layers");
  const std::vector<Sweep> sweeps = GroupRuns(records);
  const int64_t steps = sweeps.front().spec.steps;
  Report report = {.experiment = "layers",
                   .title = "Layers",
                   .question =
                       "Which modules are to be adapted: attention, MLP or all, at equal "
                       "rank and at equal numbers of parameters?"};
  std::vector<const Sweep*> all_sweeps;
  for (const Sweep& sweep : sweeps) all_sweeps.push_back(&sweep);
  report.figures = {CurvesFigure(sweeps), LossByParameters(sweeps, steps),
                    LossByRateFigure("layers_loss", all_sweeps, steps)};
  const Targets attention = {"attention"}, mlp = {"mlp"}, all = {"all-linear"};
  const int rank = settings.Ranks().back();
  const auto of_rank = [&](const Targets& targets) -> const Sweep* {
    for (const Sweep& sweep : sweeps) {
      if (!sweep.spec.full && sweep.spec.target_modules == targets && sweep.spec.lora_r == rank) {
        return &sweep;
      }
    }
    return nullptr;
  };
  const double infinity = std::numeric_limits<double>::infinity();
  if (const Sweep* mlp_sweep = of_rank(mlp)) {
    const int64_t parameters = TrainableOfSweep(*mlp_sweep);
    Compare(Find(sweeps, attention, parameters), mlp_sweep, steps, "equal parameters",
            "above 0: attention alone is worse (0.013 nats)", 0, infinity, &report);
    Compare(of_rank(attention), mlp_sweep, steps, "equal rank", "above 0", 0, infinity, &report);
    // A tenth of what the article's figure 4 has between attention and MLP.
    const double learned =
        LossesAt(*mlp_sweep, 0).means.front() - OptimumAt(*mlp_sweep, steps).loss.value;
    const double margin = 0.02 * learned;
    Compare(mlp_sweep, Find(sweeps, all, parameters), steps, "equal parameters",
            "about 0: adding attention to the MLP gives nothing", -margin, margin, &report);
    Compare(mlp_sweep, of_rank(all), steps, "equal rank", "about 0", -margin, margin, &report);
  }
  report.tables.push_back(OptimumTable("layers_optima", sweeps, steps));
  report.notes = CommonNotes(settings, records);
  report.notes.push_back(
      "Equal parameters: the rank of the other modules is solved for the number that the MLP has.");
  for (const std::string& note : EdgeNotes(sweeps, steps)) report.notes.push_back(note);
  return report;
}

}  // namespace lorikeet
