// Makes the runs of a study: those that are not finished yet, in this process or in several.
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
  double centre = 0;  // rate to begin about
};

struct StudyPlan {
  std::vector<SweptCondition> swept;
  std::vector<RunSpec> fixed;          // runs beside the sweeps, complete
  std::vector<int64_t> bracket_steps;  // where the optimum has to be inside, besides the last step
};

struct SweepSettings {
  int points = 5;      // of a grid before it is extended
  int per_decade = 3;  // rates
  int most_points = 25;
  std::vector<uint64_t> seeds;
};
// The runs of the first round.
std::vector<RunSpec> FirstRuns(const StudyPlan& plan, const SweepSettings& settings);
// The runs that bring the optimum of a condition inside its grid, seen from the finished ones.
// Empty once it is, when the grid has most_points, and where no reward ever came.
std::vector<RunSpec> ExtensionRuns(const SweptCondition& condition,
                                   const std::vector<int64_t>& bracket_steps, const Ledger& ledger,
                                   const SweepSettings& settings);
// Every run of the plan that is finished, extensions too.
std::vector<std::string> FinishedRuns(const StudyPlan& plan, const Ledger& ledger,
                                      const SweepSettings& settings);

class Runner {
 public:
  struct Settings {
    int jobs = 1;
    int64_t save_steps = 0;
    bool quiet = false;
    bool alone = false;  // every run in a process of its own, one after the other
    // The command line of a process that makes the runs of a file; needed for more than one job.
    std::function<std::vector<std::string>(const std::string& pending, int jobs)> worker;
    std::function<bool()> stop;
  };
  Runner(const Ledger& ledger, Executor& executor, Settings settings)
      : ledger_(ledger), executor_(executor), settings_(std::move(settings)) {}

  // Returns false when stopped. Throws Error for a run or a process that failed.
  bool RunAll(const std::vector<RunSpec>& specs);
  // The plan with the extensions of its sweeps.
  bool RunPlan(const StudyPlan& plan, const SweepSettings& sweep);
  // For a process started by another Runner.
  bool RunPendingFile(const std::string& path);

 private:
  // Tries each once; leaves out those that other processes have.
  bool RunOnce(const std::vector<RunSpec>& pending);
  bool RunHere(const std::vector<RunSpec>& pending);
  bool RunInProcesses(const std::vector<RunSpec>& pending, int jobs);
  bool Stopped() const { return settings_.stop && settings_.stop(); }

  const Ledger& ledger_;
  Executor& executor_;
  Settings settings_;
};

}  // namespace lorikeet
