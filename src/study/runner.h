// A `Runner` executes the unfinished runs of a study, in this process or in several.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "study/execute.h"
#include "study/sweep.h"

namespace lorikeet {

// A condition whose learning rate is swept.
struct SweptCondition {
  RunSpec spec;       // without learning_rate and seed
  double centre = 0;  // centre of the first grid of rates
};

struct StudyPlan {
  std::vector<SweptCondition> swept;
  std::vector<RunSpec> fixed;          // further runs, completely specified
  std::vector<int64_t> bracket_steps;  // at them, too, the optimum must be inside the grid
};

struct SweepSettings {
  int points = 5;      // size of a grid before it is extended
  int per_decade = 3;  // rates per factor of ten
  int max_points = 25;
  std::vector<uint64_t> seeds;
};
// The runs of the first round.
std::vector<RunSpec> FirstRuns(const StudyPlan& plan, const SweepSettings& settings);
// The unfinished runs of a condition's grid: of the first one, or of the next extension towards an
// optimum inside. Empty once it is inside, when the grid has max_points, and if there was never a
// reward. Follows from the finished runs of the grid alone, whatever their order and whatever else
// the ledger has.
std::vector<RunSpec> ExtensionRuns(const SweptCondition& condition,
                                   const std::vector<int64_t>& bracket_steps, const Ledger& ledger,
                                   const SweepSettings& settings);
// IDs of the plan's finished runs, extensions included.
std::vector<std::string> FinishedRuns(const StudyPlan& plan, const Ledger& ledger,
                                      const SweepSettings& settings);

class Runner {
 public:
  struct Settings {
    int jobs = 1;
    int64_t save_steps = 0;
    bool quiet = false;
    bool alone = false;  // each run in its own process, one after the other
    // The command line of a process that executes the runs of a file; needed for more than one job.
    std::function<std::vector<std::string>(const std::string& pending, int jobs)> worker;
    std::function<bool()> stop;
  };
  Runner(const Ledger& ledger, Executor& executor, Settings settings)
      : ledger_(ledger), executor_(executor), settings_(std::move(settings)) {}

  // Returns false if stopped. Throws Error if a run or a process failed.
  bool RunAll(const std::vector<RunSpec>& specs);
  // Executes the plan with the extensions of its sweeps.
  bool RunPlan(const StudyPlan& plan, const SweepSettings& sweep);
  // Executes the runs of a file, in a process started by another Runner.
  bool RunPendingFile(const std::string& path);

 private:
  // Tries each run once; skips those that other processes have locked.
  bool RunOnce(const std::vector<RunSpec>& pending);
  bool RunHere(const std::vector<RunSpec>& pending);
  bool RunInProcesses(const std::vector<RunSpec>& pending, int jobs);
  bool Stopped() const { return settings_.stop && settings_.stop(); }

  const Ledger& ledger_;
  Executor& executor_;
  Settings settings_;
};

}  // namespace lorikeet
