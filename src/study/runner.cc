#include "study/runner.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstring>
#include <map>
#include <set>
#include <thread>

#include "core/error.h"
#include "core/file.h"
#include "core/memory_file.h"
#include "core/progress.h"
#include "study/measure.h"

namespace lorikeet {
namespace {

pid_t Spawn(std::vector<std::string> arguments) {
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  pid_t child = 0;
  const int error = posix_spawn(&child, "/proc/self/exe", nullptr, nullptr, argv.data(), environ);
  if (error != 0) {
    Fail(ErrorCode::kIo, "cannot start a process of the study: {}", std::strerror(error));
  }
  return child;
}

// Polls a process without blocking. Returns false while it runs.
bool HasEnded(pid_t child, int* status) {
  const pid_t ended = waitpid(child, status, WNOHANG);
  return ended == child || (ended < 0 && errno != EINTR);
}

std::vector<RunSpec> Unfinished(const std::vector<RunSpec>& specs, const Ledger& ledger) {
  std::vector<RunSpec> pending;
  std::set<std::string> ids;
  for (const RunSpec& spec : specs) {
    const std::string id = RunId(spec);
    if (ids.insert(id).second && !ledger.Has(id)) pending.push_back(spec);
  }
  return pending;
}

// Progress line: number of pending runs that are finished, and the best of them.
class RunProgress {
 public:
  RunProgress(bool quiet, const std::vector<RunSpec>& pending)
      : total_(std::ssize(pending)),
        measure_(MeasureOf(pending.front())),
        progress_({.mode = quiet ? Progress::Mode::kQuiet : Progress::Mode::kAuto,
                   .logging_steps = std::max<int64_t>(1, total_ / 20),
                   .figure = measure_.best}) {}
  void Finished(const RunRecord& record) {
    const double loss = record.FinalLoss();
    if (loss < lowest_ || std::isnan(lowest_)) lowest_ = loss;
  }
  void Show(int64_t done) {
    progress_.Update(
        {.step = done, .total = total_, .loss = measure_.Value(lowest_), .learning_rate = -1});
  }

 private:
  int64_t total_;
  const Measure& measure_;
  double lowest_ = kUnknown;
  Progress progress_;
};

RunSpec With(RunSpec spec, double learning_rate, uint64_t seed) {
  spec.run.optimizer.learning_rate = learning_rate;
  spec.run.steps.seed = seed;
  return spec;
}

// A condition's rates by grid index, each with its finished runs in order of the seeds.
using Grid = std::map<int, std::vector<RunRecord>>;

void AddRate(const SweptCondition& condition, const Ledger& ledger, const SweepSettings& settings,
             int k, Grid* grid) {
  std::vector<RunRecord>& records = (*grid)[k];
  for (const uint64_t seed : settings.seeds) {
    const RunSpec spec = With(condition.spec, GridRate(k, settings.per_decade), seed);
    auto record = ledger.Read(RunId(spec));
    if (!record) continue;
    record->spec = spec;  // settings that the ID does not cover are the current ones
    records.push_back(std::move(*record));
  }
}

bool IsFinished(const Grid& grid, const SweepSettings& settings) {
  return std::all_of(grid.begin(), grid.end(), [&settings](const auto& rate) {
    return rate.second.size() == settings.seeds.size();
  });
}

std::map<int, std::vector<double>> LossesAt(const Grid& grid, int64_t step) {
  std::map<int, std::vector<double>> losses;
  for (const auto& [k, records] : grid) {
    for (const RunRecord& record : records) losses[k].push_back(record.LossAt(step));
  }
  return losses;
}

// True if no sample was ever correct, not even at the first step: then no rate is best, and further
// rates are not tried.
bool NoRewardCame(const SweptCondition& condition, const Grid& grid) {
  if (!condition.spec.rewards()) return false;
  for (const int64_t step : {int64_t{0}, condition.spec.steps()}) {
    for (const auto& [k, costs] : LossesAt(grid, step)) {
      if (std::any_of(costs.begin(), costs.end(), [](double cost) { return cost < 1; })) {
        return false;
      }
    }
  }
  return true;
}

// The indices by which a finished grid is extended.
std::set<int> Extension(const SweptCondition& condition, const std::vector<int64_t>& bracket_steps,
                        const Grid& grid, const SweepSettings& settings) {
  if (std::ssize(grid) >= settings.max_points || NoRewardCame(condition, grid)) return {};
  std::vector<int64_t> steps = bracket_steps;
  steps.push_back(condition.spec.steps());
  std::set<int> more;
  for (const int64_t step : steps) {
    for (const int k : ExtendGrid(LossesAt(grid, step))) more.insert(k);
  }
  return more;
}

int FirstIndex(const SweptCondition& condition, const SweepSettings& settings) {
  return GridIndex(condition.centre, settings.per_decade) - settings.points / 2;
}

// The grid as far as the finished runs lead: the first one, then one extension after the other,
// each chosen from the whole grid before it and from nothing else. So a study that was stopped, and
// one in a folder with runs of others, asks for the rates of one that never was.
Grid GridOf(const SweptCondition& condition, const std::vector<int64_t>& bracket_steps,
            const Ledger& ledger, const SweepSettings& settings) {
  Grid grid;
  const int first = FirstIndex(condition, settings);
  for (int k = first; k < first + settings.points; ++k) {
    AddRate(condition, ledger, settings, k, &grid);
  }
  while (IsFinished(grid, settings)) {
    const std::set<int> more = Extension(condition, bracket_steps, grid, settings);
    if (more.empty()) break;
    for (const int k : more) AddRate(condition, ledger, settings, k, &grid);
  }
  return grid;
}

}  // namespace

std::vector<RunSpec> FirstRuns(const StudyPlan& plan, const SweepSettings& settings) {
  std::vector<RunSpec> runs = plan.fixed;
  for (const uint64_t seed : settings.seeds) {
    for (const SweptCondition& condition : plan.swept) {
      const int first = FirstIndex(condition, settings);
      for (int k = first; k < first + settings.points; ++k) {
        runs.push_back(With(condition.spec, GridRate(k, settings.per_decade), seed));
      }
    }
  }
  return runs;
}

std::vector<RunSpec> ExtensionRuns(const SweptCondition& condition,
                                   const std::vector<int64_t>& bracket_steps, const Ledger& ledger,
                                   const SweepSettings& settings) {
  std::vector<RunSpec> runs;
  for (const auto& [k, records] : GridOf(condition, bracket_steps, ledger, settings)) {
    for (const uint64_t seed : settings.seeds) {
      runs.push_back(With(condition.spec, GridRate(k, settings.per_decade), seed));
    }
  }
  return Unfinished(runs, ledger);
}

std::vector<std::string> FinishedRuns(const StudyPlan& plan, const Ledger& ledger,
                                      const SweepSettings& settings) {
  std::vector<std::string> ids;
  for (const RunSpec& spec : plan.fixed) ids.push_back(RunId(spec));
  for (const SweptCondition& condition : plan.swept) {
    for (const auto& [k, records] : GridOf(condition, plan.bracket_steps, ledger, settings)) {
      for (const uint64_t seed : settings.seeds) {
        ids.push_back(RunId(With(condition.spec, GridRate(k, settings.per_decade), seed)));
      }
    }
  }
  std::erase_if(ids, [&](const std::string& id) { return !ledger.Has(id); });
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

bool Runner::RunAll(const std::vector<RunSpec>& specs) {
  for (const RunSpec& spec : specs) RemoveLeftovers(ledger_, RunId(spec));
  std::vector<RunSpec> pending = Unfinished(specs, ledger_);
  while (!pending.empty()) {
    if (!RunOnce(pending)) return false;
    const size_t before = pending.size();
    pending = Unfinished(specs, ledger_);
    // The remaining runs are locked by other processes.
    if (pending.size() == before) std::this_thread::sleep_for(std::chrono::milliseconds(500));
  }
  return true;
}

bool Runner::RunOnce(const std::vector<RunSpec>& pending) {
  if (settings_.alone) {
    for (const RunSpec& spec : pending) {
      if (!RunInProcesses({spec}, 1)) return false;
    }
    return true;
  }
  const int jobs = std::min(settings_.jobs, static_cast<int>(pending.size()));
  return jobs > 1 ? RunInProcesses(pending, jobs) : RunHere(pending);
}

bool Runner::RunPlan(const StudyPlan& plan, const SweepSettings& sweep) {
  if (!RunAll(FirstRuns(plan, sweep))) return false;
  while (true) {
    std::vector<RunSpec> more;
    for (const SweptCondition& condition : plan.swept) {
      for (RunSpec& spec : ExtensionRuns(condition, plan.bracket_steps, ledger_, sweep)) {
        more.push_back(std::move(spec));
      }
    }
    if (more.empty()) break;
    if (!RunAll(more)) return false;
  }
  // Those of extensions too, which were not among the runs above if they were finished.
  for (const std::string& id : FinishedRuns(plan, ledger_, sweep)) RemoveLeftovers(ledger_, id);
  return true;
}

bool Runner::RunHere(const std::vector<RunSpec>& pending) {
  if (pending.empty()) return true;
  RunProgress progress(settings_.quiet, pending);
  int64_t done = 0;
  for (const RunSpec& spec : pending) {
    if (Stopped()) return false;
    const std::string id = RunId(spec);
    ++done;
    const RunLock lock(ledger_, id);
    if (!lock.held() || ledger_.Has(id)) continue;  // locked by another process, or finished
    if (!executor_.Run(spec, settings_.save_steps, settings_.stop)) return false;
    progress.Finished(*ledger_.Read(id));
    progress.Show(done);
  }
  return true;
}

bool Runner::RunPendingFile(const std::string& path) {
  std::vector<RunSpec> specs;
  for (const Json& json : ParseJson(ReadFile(path), path)) {
    specs.push_back(RunSpecFromJson(json, path));
  }
  return RunHere(specs);
}

bool Runner::RunInProcesses(const std::vector<RunSpec>& pending, int jobs) {
  Json list = Json::array();
  for (const RunSpec& spec : pending) list.push_back(ToJson(spec));
  const MemoryFile file(list.dump());
  std::vector<pid_t> children;
  children.reserve(static_cast<size_t>(jobs));
  for (int i = 0; i < jobs; ++i) children.push_back(Spawn(settings_.worker(file.path(), jobs)));
  RunProgress progress(settings_.quiet, pending);
  int failed = 0;
  bool told = false;
  std::set<std::string> done;
  while (!children.empty()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    if (Stopped() && !told) {
      for (const pid_t child : children) kill(child, SIGTERM);
      told = true;
    }
    std::erase_if(children, [&](pid_t child) {
      int status = 0;
      if (!HasEnded(child, &status)) return false;
      if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) ++failed;
      return true;
    });
    const size_t before = done.size();
    for (const RunSpec& spec : pending) {
      const std::string id = RunId(spec);
      if (done.contains(id) || !ledger_.Has(id)) continue;
      done.insert(id);
      progress.Finished(*ledger_.Read(id));
    }
    if (done.size() != before) progress.Show(std::ssize(done));
  }
  if (told) return false;
  if (failed > 0) {
    Fail(ErrorCode::kIo,
         "{} of {} processes of the study failed; their messages are above, and the same "
         "command continues with the remaining runs",
         failed, jobs);
  }
  return true;
}

}  // namespace lorikeet
