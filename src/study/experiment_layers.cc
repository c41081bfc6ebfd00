// Figures 4 and 5 of the article: the choice of modules to adapt, at equal rank and at equal
// numbers of parameters.
#include <fmt/format.h>

#include "study/comparison.h"
#include "study/experiment.h"
#include "study/module_sets.h"

namespace lorikeet {
namespace {

// "All linear layers" excludes the head, which is a large part of a small model.
void ConcludeOnHead(const std::vector<Sweep>& sweeps, int rank, int64_t steps, Report* report) {
  const Sweep *all = FindOfRank(sweeps, OnAll(), rank),
              *head = FindOfRank(sweeps, OnAllAndHead(), rank);
  if (all == nullptr || head == nullptr) return;
  const Interval gap = LossGap(*all, *head, steps);
  report->conclusions.push_back(
      fmt::format("Without an adapter on the head {} ends {} nats above the same with one: {}.",
                  all->spec.MethodName(), gap.Text(), WordsFor(gap)));
  const std::vector<const Sweep*> pair = {all, head};
  report->findings.push_back({"loss of all linear layers less that of all and the head, equal rank",
                              "not stated; its own counts of parameters have the head in every set",
                              gap, Agreement::kUndecided, CountRuns(pair)});
  const Sweep* full = FindFull(sweeps);
  if (full == nullptr) return;
  const Interval rest = LossGap(*head, *full, steps);
  report->conclusions.push_back(fmt::format("With it {} nats are left above full fine-tuning: {}.",
                                            rest.Text(), WordsFor(rest)));
}

StudyPlan Plan(const PlanContext& context) {
  const StudySettings& settings = context.settings;
  const StudyModel& model = *context.models.front();
  const int rank = settings.Ranks().back();
  StudyPlan plan;
  plan.swept.push_back(FullCondition(settings, model));
  const SweptCondition mlp_condition = ConditionOn(settings, model, OnMlp(), rank);
  const int64_t parameters = TrainableOf(mlp_condition.spec, model);
  plan.swept.push_back(mlp_condition);
  plan.swept.push_back(ConditionOn(settings, model, OnAttention(), rank));
  plan.swept.push_back(ConditionOn(settings, model, OnAll(), rank));
  plan.swept.push_back(ConditionOn(settings, model, OnAllAndHead(), rank));
  for (const Targets& targets : {OnAttention(), OnAll()}) {
    const int equal = RankFor(settings, model, targets, parameters);
    if (equal != rank) plan.swept.push_back(ConditionOn(settings, model, targets, equal));
  }
  return plan;
}

Report Analyse(const StudySettings& settings, std::span<const RunRecord> records) {
  RequireRuns(records, "layers");
  const std::vector<Sweep> sweeps = GroupRuns(records);
  const int64_t steps = sweeps.front().spec.steps();
  Report report = {.experiment = "layers",
                   .title = "Layers",
                   .question =
                       "Which modules are to be adapted: attention, MLP or all, at equal "
                       "rank and at equal numbers of parameters?"};
  std::vector<const Sweep*> all_sweeps;
  for (const Sweep& sweep : sweeps) all_sweeps.push_back(&sweep);
  report.figures = {ModuleCurves("layers_curves", sweeps),
                    LossByParameters("layers_parameters", sweeps, steps),
                    LossByRateFigure("layers_loss", all_sweeps, steps)};
  const int rank = settings.Ranks().back();
  if (const Sweep* mlp = FindOfRank(sweeps, OnMlp(), rank)) {
    const int64_t parameters = TrainableOfSweep(*mlp);
    CompareSets({FindNearest(sweeps, OnAttention(), parameters), mlp,
                 FindNearest(sweeps, OnAll(), parameters)},
                {FindOfRank(sweeps, OnAttention(), rank), mlp, FindOfRank(sweeps, OnAll(), rank)},
                steps, &report);
    ConcludeOnHead(sweeps, rank, steps, &report);
  }
  report.tables.push_back(OptimumTable("layers_optima", sweeps, steps));
  report.notes = CommonNotes(settings, records);
  report.notes.push_back(
      "Equal parameters: the rank of the other modules is solved for the number that the MLP has.");
  for (const std::string& note : EdgeNotes(sweeps, steps)) report.notes.push_back(note);
  return report;
}

}  // namespace

constinit const Experiment kLayersExperiment = {
    .name = "layers",
    .summary = "attention, MLP or all modules, at equal rank and at equal parameters",
    .plan = Plan,
    .analyse = Analyse};

}  // namespace lorikeet
