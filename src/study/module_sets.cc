#include "study/module_sets.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "study/comparison.h"

namespace lorikeet {
namespace {

bool Plain(const Sweep& sweep, const Targets& targets) {
  return !sweep.spec.full() && sweep.spec.run.adapter.target_modules == targets &&
         sweep.spec.run.adapter.ExpertRank() == 0 && !sweep.spec.run.adapter.lora_shared_outer;
}

void SortByX(Series* series) {
  std::vector<size_t> order(series->x.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return series->x[a] < series->x[b]; });
  for (std::vector<double>* values : {&series->x, &series->y, &series->low, &series->high}) {
    std::vector<double> sorted;
    for (const size_t i : order) sorted.push_back((*values)[i]);
    *values = std::move(sorted);
  }
}

}  // namespace

SweptCondition ConditionOn(const StudySettings& settings, const StudyModel& model,
                           const Targets& targets, int rank) {
  SweptCondition condition = LoraCondition(settings, model, rank);
  condition.spec.run.adapter.target_modules = targets;
  return condition;
}

int RankUnit(const StudyModel& model, const Targets& targets) {
  const bool experts = model.base->config().num_experts > 0 && targets != OnAttention();
  return experts ? static_cast<int>(model.base->config().num_experts_per_tok) : 1;
}

int RankFor(const StudySettings& settings, const StudyModel& model, const Targets& targets,
            int64_t parameters) {
  const int unit = RankUnit(model, targets);
  const int64_t of_unit = TrainableOf(ConditionOn(settings, model, targets, unit).spec, model);
  return unit * static_cast<int>(std::max<int64_t>(1, (parameters + of_unit / 2) / of_unit));
}

int64_t TrainableOfSweep(const Sweep& sweep) {
  return sweep.runs.begin()->second.begin()->second->trainable;
}

const Sweep* FindOfRank(const std::vector<Sweep>& sweeps, const Targets& targets, int rank) {
  for (const Sweep& sweep : sweeps) {
    if (Plain(sweep, targets) && sweep.spec.run.adapter.lora_r == rank) return &sweep;
  }
  return nullptr;
}

const Sweep* FindNearest(const std::vector<Sweep>& sweeps, const Targets& targets,
                         int64_t parameters) {
  const Sweep* nearest = nullptr;
  double least = 0;
  for (const Sweep& sweep : sweeps) {
    if (!Plain(sweep, targets)) continue;
    const double off = std::abs(
        std::log(static_cast<double>(TrainableOfSweep(sweep)) / static_cast<double>(parameters)));
    if (nearest == nullptr || off < least) {
      nearest = &sweep;
      least = off;
    }
  }
  return nearest;
}

Figure ModuleCurves(const std::string& name, const std::vector<Sweep>& sweeps) {
  Figure figure = {.name = name,
                   .title = "Pointwise minimum over learning rates",
                   .xlabel = "step",
                   .ylabel = "held-out loss, nats per token",
                   .caption = "Lowest loss of all rates at each step, mean over seeds."};
  for (const Sweep& sweep : sweeps) {
    Series series = {.label = sweep.spec.MethodName()};
    if (sweep.spec.full()) series.shade = -2;
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

Figure LossByParameters(const std::string& name, const std::vector<Sweep>& sweeps, int64_t steps) {
  Figure figure = {.name = name,
                   .title = fmt::format("Lowest held-out loss after {} steps", steps),
                   .xlabel = "trained parameters",
                   .ylabel = "held-out loss, nats per token",
                   .caption = "Every point at its own best rate, with 95 % intervals over seeds."};
  for (const Sweep& sweep : sweeps) {
    const Optimum optimum = OptimumAt(sweep, steps);
    const std::string label = sweep.spec.ModulesName();
    auto found = std::find_if(figure.series.begin(), figure.series.end(),
                              [&](const Series& series) { return series.label == label; });
    if (found == figure.series.end()) {
      figure.series.push_back({.label = label});
      found = figure.series.end() - 1;
      if (sweep.spec.full()) found->shade = -2;
    }
    found->Add(static_cast<double>(TrainableOfSweep(sweep)), optimum.loss);
  }
  for (Series& series : figure.series) {
    SortByX(&series);
    series.line = series.x.size() > 1;
  }
  return figure;
}

const char* WordsFor(const Interval& gap) {
  return !gap.Known()   ? "one seed does not say whether that is more than noise"
         : gap.low > 0  ? "worse"
         : gap.high < 0 ? "better"
                        : "not to be told from equal";
}

void CompareModules(const Sweep* a, const Sweep* b, int64_t steps, const std::string& how,
                    const ArticleGap& article, Report* report) {
  if (a == nullptr || b == nullptr || a == b) return;
  const Interval gap = LossGap(*a, *b, steps);
  const std::vector<const Sweep*> pair = {a, b};
  report->conclusions.push_back(fmt::format("At {} {} ends {} nats above {}: {}.", how,
                                            a->spec.MethodName(), gap.Text(), b->spec.MethodName(),
                                            WordsFor(gap)));
  report->findings.push_back({fmt::format("loss of {} less that of {}, {}", a->spec.MethodName(),
                                          b->spec.MethodName(), how),
                              article.says, gap, AgreesWith(gap, article.from, article.to),
                              CountRuns(pair)});
}

void CompareSets(const ModuleSweeps& equal_parameters, const ModuleSweeps& equal_rank,
                 int64_t steps, Report* report) {
  if (equal_rank.mlp == nullptr) return;
  const double infinity = std::numeric_limits<double>::infinity();
  const double margin = EquivalenceMargin(*equal_rank.mlp, steps);
  CompareModules(equal_parameters.attention, equal_parameters.mlp, steps, "equal parameters",
                 {"above 0: attention alone is worse (0.013 nats)", 0, infinity}, report);
  CompareModules(equal_rank.attention, equal_rank.mlp, steps, "equal rank",
                 {"above 0", 0, infinity}, report);
  CompareModules(equal_parameters.mlp, equal_parameters.all, steps, "equal parameters",
                 {"about 0: adding attention to the MLP gives nothing", -margin, margin}, report);
  CompareModules(equal_rank.mlp, equal_rank.all, steps, "equal rank", {"about 0", -margin, margin},
                 report);
}

}  // namespace lorikeet
