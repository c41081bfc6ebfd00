// A study from its plan to its report.
//
//   DIR/runs/ID/            the runs, shared by all experiments in DIR (study/ledger.h)
//   DIR/runs.jsonl          a line per finished run
//   DIR/NAME/config.yaml    the settings of experiment NAME, and
//   DIR/NAME/runs.txt       the runs that it rests on
//   DIR/NAME/*              figures (SVG, PNG), the numbers behind them (CSV), findings.json
//   DIR/report.html         all experiments of DIR
//   DIR/claims.json         the findings of all
#pragma once
#include <string>
#include <vector>

#include "study/experiment.h"
#include "study/runner.h"

namespace lorikeet {

struct PlannedCost {
  int runs = 0, finished = 0, conditions = 0;
  double flops = 0;             // of the runs that are left, evaluation included
  double flops_per_second = 0;  // of one process
  std::string measured;         // where that was taken from
  bool at_most = false;         // completions are taken at max_tokens
  double Seconds(int jobs) const { return flops / flops_per_second / jobs; }
};

// Bytes that the process of the most demanding unfinished run will hold.
int64_t MemoryOf(const StudyPlan& plan, const SweepSettings& sweep, const Ledger& ledger,
                 Executor& executor);
// Of the first round of a plan; extensions come on top. The rate is taken from finished runs of the
// ledger, else from a few steps made for it. Those take threads as a run does.
PlannedCost CostOf(const StudyPlan& plan, const SweepSettings& sweep, const Ledger& ledger,
                   Executor& executor);
std::string CostText(const PlannedCost& cost, int jobs);

SweepSettings SweepOf(const StudySettings& settings);

// Writes DIR/NAME/ and DIR/report.html anew from the finished runs in DIR/NAME/runs.txt.
Report ReportFromRuns(const Experiment& experiment, const StudySettings& settings,
                      const Ledger& ledger);
// Names the runs of an experiment and keeps its settings.
void KeepPlan(const Experiment& experiment, const StudySettings& settings,
              const std::vector<std::string>& run_ids, const Ledger& ledger);
// The experiments that DIR holds. Throws Error(kNotFound) if there is none.
std::vector<const Experiment*> ExperimentsIn(const std::string& dir);
// As they were kept in DIR/NAME/config.yaml.
StudySettings SettingsIn(const std::string& dir, const Experiment& experiment);

// The findings of every experiment in these folders, from their runs: [{claim, article, here, low,
// high, agrees, runs, experiment, study}].
Json ClaimsOf(const std::vector<std::string>& dirs);
std::string ConclusionsText(const Report& report);

}  // namespace lorikeet
