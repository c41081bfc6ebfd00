// A study: cost of its plan, files of its folder, report of its runs.
//
//   DIR/runs/ID/            the runs, shared by all experiments in DIR (study/ledger.h)
//   DIR/runs.jsonl          a line per finished run
//   DIR/NAME/config.yaml    the settings of experiment NAME, and
//   DIR/NAME/runs.txt       the runs that it rests on
//   DIR/NAME/memory.json    the memory for which it was planned
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
  double flops = 0;             // FLOPs of the unfinished runs, evaluation included
  double flops_per_second = 0;  // speed of one process
  std::string measured;         // source of that speed
  bool at_most = false;         // true: an upper bound, with max_tokens per completion
  double Seconds(int jobs) const { return flops / flops_per_second / jobs; }
};

// Bytes that the process of the most demanding unfinished run will use.
int64_t MemoryOf(const StudyPlan& plan, const SweepSettings& sweep, const Ledger& ledger,
                 Executor& executor);
// The cost of the first round of a plan; extensions come on top. The speed is measured on finished
// runs of the ledger, else on a few steps, which use as many threads as a run does.
PlannedCost CostOf(const StudyPlan& plan, const SweepSettings& sweep, const Ledger& ledger,
                   Executor& executor);
std::string CostText(const PlannedCost& cost, int jobs);

SweepSettings SweepOf(const StudySettings& settings);

// Writes DIR/NAME/ and DIR/report.html again from the finished runs in DIR/NAME/runs.txt.
Report ReportFromRuns(const Experiment& experiment, const StudySettings& settings,
                      const Ledger& ledger);
// Writes DIR/NAME/runs.txt and DIR/NAME/config.yaml.
void KeepPlan(const Experiment& experiment, const StudySettings& settings,
              const std::vector<std::string>& run_ids, const Ledger& ledger);
// The memory for which an experiment was planned when it began, from DIR/NAME/memory.json; `now`,
// which is then recorded, if it has not begun. A plan may depend on it, and must be the same after
// a stop. record: false only to look.
int64_t PlannedMemory(const std::string& dir, const Experiment& experiment, int64_t now,
                      bool record);
// The experiments in DIR. Throws Error(kNotFound) if there is none.
std::vector<const Experiment*> ExperimentsIn(const std::string& dir);
// The settings in DIR/NAME/config.yaml.
StudySettings SettingsIn(const std::string& dir, const Experiment& experiment);

// The findings of every experiment in these folders, computed from their runs: [{claim, article,
// here, low, high, agrees, runs, experiment, study}].
Json ClaimsOf(const std::vector<std::string>& dirs);
std::string ConclusionsText(const Report& report);

}  // namespace lorikeet
