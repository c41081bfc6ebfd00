// lorikeet study: the experiments of "LoRA Without Regret" on the user's model and data.
#include <fmt/format.h>
#include <sys/prctl.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <optional>

#include "cli/commands.h"
#include "cli/study_options.h"
#include "cli/study_problems.h"
#include "core/error.h"
#include "core/file.h"
#include "core/folder_lock.h"
#include "core/format.h"
#include "core/machine.h"
#include "core/memory_file.h"
#include "core/parallel.h"
#include "core/signals.h"
#include "engine/loaded_model.h"
#include "engine/read_model.h"
#include "options/args.h"
#include "study/study.h"
#include "train/run_settings.h"

namespace lorikeet {
namespace {

const CommandHelp& Help() {
  static const CommandHelp kHelp = [] {
    CommandHelp help = {
        .name = "study",
        .summary =
            "Repeats the experiments of \"LoRA Without Regret\" on a model and data of "
            "your own: plans a grid of runs, prints its cost, executes the runs, and writes a "
            "report with figures, the numbers behind them, and conclusions with intervals over "
            "seeds. After a stop or a kill the same command resumes; finished runs are "
            "never executed twice."};
    help.epilog = "Experiments:\n";
    for (const Experiment& experiment : Experiments()) {
      help.epilog += fmt::format("  {:<11} {}\n", experiment.name, experiment.summary);
    }
    help.epilog +=
        "  report      writes the reports of the given folders again from their runs\n"
        "  claims      prints the findings of the given folders as JSON, from their runs\n"
        "\n"
        "Examples:\n"
        "  lorikeet study lr --model MODEL --data chats.jsonl --steps 300 --dry-run\n"
        "  lorikeet study rank --model MODEL --data chats.jsonl --ranks 1,4,16,64 --jobs 2 \\\n"
        "      --output-dir out/study\n"
        "  lorikeet study rl --model MODEL --task sort_numbers --ranks 1,16 --steps 40 \\\n"
        "      --max-tokens 20 --output-dir out/rewards\n"
        "  lorikeet study claims out/study\n";
    return help;
  }();
  return kHelp;
}

void LoadStudyExamples(const StudyOptions& options, const LoadedModel& loaded, StudyModel* model) {
  const RenderConfig render = RenderConfigOf(options.rendering);
  Dataset train = LoadExamples(options.data, loaded.ForData(), render), heldout;
  if (!options.eval_data.empty()) {
    heldout = LoadExamples(options.eval_data, loaded.ForData(), render);
  } else {
    constexpr uint64_t kSplitSeed = 42;  // the same examples are held out for every seed
    auto parts = SplitHeldOut(std::move(train), options.eval_split, kSplitSeed);
    train = std::move(parts.first);
    heldout = std::move(parts.second);
  }
  model->train = std::move(train.examples);
  model->heldout = std::move(heldout.examples);
  const auto most = static_cast<size_t>(options.eval_examples);
  if (most > 0 && model->heldout.size() > most) model->heldout.resize(most);
  model->data_fingerprint = FingerprintOf(model->train) + "-" + FingerprintOf(model->heldout);
}

StudyModel LoadStudyModel(const std::string& path, const StudyOptions& options) {
  const DType compute = ParseComputeDtype(options.dtype);
  LoadedModel loaded = LoadModel(path, compute);
  options.common.PrintNotes(loaded.model->config().notes);
  StudyModel model;
  model.path = path;
  if (FindExperiment(options.experiment).rewards) {
    LoadProblems(options, loaded, &model);
  } else {
    LoadStudyExamples(options, loaded, &model);
  }
  model.model_fingerprint = FingerprintIn(Ledger(options.output_dir), *loaded.model);
  if (model.model_fingerprint.find('-') == std::string::npos) {
    options.common.PrintNotes({fmt::format(
        "{} has runs of an older version, which tells models apart by a sample of their weights; "
        "its study continues so. Begin in another output_dir if the weights of {} may have changed",
        options.output_dir, path)});
  }
  model.stored = MatrixDtype(loaded.model->source());
  model.base = std::move(loaded.model);
  model.reload = [path, compute] { return Model::Load(path, compute); };
  return model;
}

void RequireInputs(const StudyOptions& options, const Experiment& experiment) {
  if (options.model.empty()) Fail(ErrorCode::kInvalidArgument, "--model PATH is missing");
  if (options.data.empty() && !experiment.rewards) {
    Fail(ErrorCode::kInvalidArgument, "--data FILE is missing");
  }
}

// The command line of a worker process that executes the runs of a file.
// *config holds its settings until the process has been started.
std::vector<std::string> WorkerCommand(const StudyOptions& options, int jobs,
                                       const std::string& pending,
                                       std::optional<MemoryFile>* config) {
  StudyOptions worker = options;
  worker.worker = pending;
  worker.jobs = 1;
  worker.common.threads = std::max(1, NumThreads() / jobs);
  worker.common.quiet = true;
  worker.common.verbose = false;
  config->emplace(ToYaml(OptionTable(worker)));
  return {"lorikeet", "study", "--config", (*config)->path()};
}

int RunWorker(const StudyOptions& options, const Ledger& ledger, Executor& executor) {
  prctl(PR_SET_PDEATHSIG, SIGTERM);  // the study ends with the process that leads it
  // A terminal sends these signals to the whole group, and the leader passes them on as SIGTERM. If
  // this process counted both, the second would end it without a checkpoint.
  std::signal(SIGINT, SIG_IGN);
  std::signal(SIGHUP, SIG_IGN);
  Runner runner(ledger, executor,
                {.save_steps = options.save_steps, .quiet = true, .stop = StopRequested});
  runner.RunPendingFile(*options.worker);
  return 0;
}

// The files of a report are written by one process at a time.
WaitingLock ReportLock(const std::string& dir) { return WaitingLock(dir + "/report.lock"); }

void PrintReport(const Report& report, const StudyOptions& options) {
  const std::string text = options.json ? FindingsJson(report).dump(2) + "\n"
                                        : ConclusionsText(report) + options.output_dir +
                                              "/report.html has figures, tables and numbers\n";
  std::fputs(text.c_str(), stdout);
}

int RunExperiment(const Experiment& experiment, const StudyOptions& options, const Ledger& ledger,
                  Executor& executor) {
  PlanContext context = {.settings = options.settings, .models = {}};
  for (const std::string& path : options.model) context.models.push_back(&executor.ModelAt(path));
  const int64_t available = (ReadMemory().available + ResidentBytes()) / options.jobs;
  context.memory = PlannedMemory(options.output_dir, experiment, available, !options.dry_run);
  const StudyPlan plan = experiment.plan(context);
  const SweepSettings sweep = SweepOf(options.settings);
  const int64_t needed = MemoryOf(plan, sweep, ledger, executor);
  if (needed > available) {
    Fail(ErrorCode::kOutOfMemory,
         "the largest run needs {}, and {} are available for each of {} process{}; lower --jobs, "
         "the "
         "ranks or --max-length, or take a smaller model",
         HumanBytes(needed), HumanBytes(available), options.jobs, options.jobs == 1 ? "" : "es");
  }
  const std::string cost = CostText(CostOf(plan, sweep, ledger, executor), options.jobs);
  if (options.dry_run || !options.common.quiet) {
    std::fputs(cost.c_str(), options.dry_run ? stdout : stderr);
  }
  if (options.dry_run) return 0;
  if (!HaveGnuplot()) {
    std::fputs(
        "warning: gnuplot is not installed, so figures are not drawn; their numbers are "
        "written (Debian: apt-get install gnuplot-nox, then `lorikeet study report`)\n",
        stderr);
  }
  std::optional<MemoryFile> config;
  Runner runner(ledger, executor,
                {.jobs = options.jobs,
                 .save_steps = options.save_steps,
                 .quiet = options.common.quiet,
                 .alone = experiment.alone,
                 .worker = [&](const std::string& pending,
                               int jobs) { return WorkerCommand(options, jobs, pending, &config); },
                 .stop = StopRequested});
  const bool complete = runner.RunPlan(plan, sweep);
  const WaitingLock lock = ReportLock(options.output_dir);
  ledger.WriteIndex();
  if (!complete) {
    std::fputs("stopped; the same command resumes the study\n", stderr);
    return 0;
  }
  KeepPlan(experiment, options.settings, FinishedRuns(plan, ledger, sweep), ledger);
  PrintReport(ReportFromRuns(experiment, options.settings, ledger), options);
  return 0;
}

int RunReport(const StudyOptions& options) {
  for (const std::string& dir : options.model) {
    const auto experiments = ExperimentsIn(dir);
    const Ledger ledger(dir);
    const WaitingLock lock = ReportLock(dir);
    StudyOptions here = options;
    here.output_dir = dir;
    for (const Experiment* experiment : experiments) {
      PrintReport(ReportFromRuns(*experiment, SettingsIn(dir, *experiment), ledger), here);
    }
  }
  return 0;
}

}  // namespace

int RunStudy(int argc, char** argv) {
  StudyOptions options;
  if (!ParseCommandLine(Help(), argc, argv, options)) return 0;
  options.common.Apply();
  if (options.experiment == "report" || options.experiment == "claims") {
    if (options.model.empty()) {
      Fail(ErrorCode::kInvalidArgument, "study {}: give the folders of studies",
           options.experiment);
    }
    if (options.experiment == "report") return RunReport(options);
    std::fputs((ClaimsOf(options.model).dump(2) + "\n").c_str(), stdout);
    return 0;
  }
  const Experiment& experiment = FindExperiment(options.experiment);
  RequireInputs(options, experiment);
  const Ledger ledger(options.output_dir);
  CreateFolders(options.output_dir, "output_dir ");
  Executor executor(ledger,
                    [&options](const std::string& path) { return LoadStudyModel(path, options); });
  if (options.worker) return RunWorker(options, ledger, executor);
  return RunExperiment(experiment, options, ledger, executor);
}

}  // namespace lorikeet
