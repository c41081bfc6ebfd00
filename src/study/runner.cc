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
#include <filesystem>
#include <set>
#include <thread>

#include "core/error.h"
#include "core/file.h"
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

// Losses at a step by grid index, for the rates of a condition with all seeds finished.
std::map<int, std::vector<double>> FinishedLosses(const SweptCondition& condition, int64_t step,
                                                  const Ledger& ledger,
                                                  const SweepSettings& settings) {
  std::map<int, std::vector<double>> losses;
  const int centre = GridIndex(condition.centre, settings.per_decade);
  for (int k = centre - settings.max_points; k <= centre + settings.max_points; ++k) {
    std::vector<double> of_seeds;
    for (const uint64_t seed : settings.seeds) {
      const RunSpec spec = With(condition.spec, GridRate(k, settings.per_decade), seed);
      auto record = ledger.Read(RunId(spec));
      if (!record) continue;
      record->spec = spec;  // settings that the ID does not cover are the current ones
      of_seeds.push_back(record->LossAt(step));
    }
    if (of_seeds.size() == settings.seeds.size()) losses[k] = of_seeds;
  }
  return losses;
}

// True if no sample was ever correct, not even at the first step: then no rate is best, and further
// rates are not tried.
bool NoRewardCame(const SweptCondition& condition, const Ledger& ledger,
                  const SweepSettings& settings) {
  if (!condition.spec.rewards()) return false;
  for (const int64_t step : {int64_t{0}, condition.spec.steps()}) {
    for (const auto& [k, costs] : FinishedLosses(condition, step, ledger, settings)) {
      if (std::any_of(costs.begin(), costs.end(), [](double cost) { return cost < 1; })) {
        return false;
      }
    }
  }
  return true;
}

}  // namespace

std::vector<RunSpec> FirstRuns(const StudyPlan& plan, const SweepSettings& settings) {
  std::vector<RunSpec> runs = plan.fixed;
  for (const uint64_t seed : settings.seeds) {
    for (const SweptCondition& condition : plan.swept) {
      const int first = GridIndex(condition.centre, settings.per_decade) - settings.points / 2;
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
  if (NoRewardCame(condition, ledger, settings)) return {};
  std::vector<int64_t> steps = bracket_steps;
  steps.push_back(condition.spec.steps());
  std::set<int> more;
  for (const int64_t step : steps) {
    const auto losses = FinishedLosses(condition, step, ledger, settings);
    if (static_cast<int>(losses.size()) >= settings.max_points) return {};
    for (const int k : ExtendGrid(losses)) more.insert(k);
  }
  std::vector<RunSpec> runs;
  for (const int k : more) {
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
    for (const auto& [k, losses] :
         FinishedLosses(condition, condition.spec.steps(), ledger, settings)) {
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
    if (more.empty()) return true;
    if (!RunAll(more)) return false;
  }
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
  const std::string path = ledger_.dir() + "/pending.json";
  WriteFileAtomically(path, list.dump());
  std::vector<pid_t> children;
  children.reserve(static_cast<size_t>(jobs));
  for (int i = 0; i < jobs; ++i) children.push_back(Spawn(settings_.worker(path, jobs)));
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
  std::error_code ignored;
  std::filesystem::remove(path, ignored);
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
