#include "study/study.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <numeric>
#include <set>
#include <sstream>

#include "core/error.h"
#include "core/file.h"
#include "core/folder_lock.h"
#include "core/folders.h"
#include "core/format.h"
#include "core/json_fields.h"
#include "options/args.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;

// FLOP/s of the finished runs, without evaluation. Sampling is slower than training, so runs that
// learn from rewards have a rate of their own.
double RateOfFinished(const Ledger& ledger, bool rewards) {
  double flops = 0, seconds = 0;
  for (const RunRecord& record : ledger.ReadAll()) {
    if ((record.spec.rewards() != nullptr) != rewards) continue;
    flops += record.TrainFlops();
    seconds += record.TrainSeconds();
  }
  constexpr double kEnough = 2;  // seconds
  return seconds > kEnough ? flops / seconds : 0;
}

// The model's own data, but one held-out item only.
StudyModel ForProbe(const StudyModel& model) {
  StudyModel copy;
  copy.path = model.path;
  copy.base = model.reload();
  copy.reload = model.reload;
  copy.train = model.train;
  copy.heldout.assign(model.heldout.begin(),
                      model.heldout.begin() + (model.heldout.empty() ? 0 : 1));
  copy.problems = model.problems;
  copy.prompt_tokens = model.prompt_tokens;
  if (!model.heldout_problems.empty()) copy.heldout_problems = {model.heldout_problems.front()};
  return copy;
}

// FLOPs of each step of a run, sampling included.
std::vector<double> StepFlops(const RunRecord& record) {
  if (!record.spec.rewards()) {
    return std::vector<double>(record.step_seconds.size(),
                               record.TrainFlops() / static_cast<double>(record.steps));
  }
  const double prompts = record.facts.value("prompt_tokens", 0.0) *
                         static_cast<double>(record.spec.run.steps.batch_size);
  std::vector<double> sampled;
  for (const RewardStep& step : record.reward_steps) {
    sampled.push_back(static_cast<double>(step.sampled_tokens) + prompts);
  }
  const double all = std::accumulate(sampled.begin(), sampled.end(), 0.0);
  for (size_t i = 0; i < sampled.size(); ++i) {
    const auto trained = static_cast<double>(record.reward_steps[i].trained_tokens);
    sampled[i] = record.flops_per_token * trained + record.sampling_flops * sampled[i] / all;
  }
  return sampled;
}

// FLOP/s of the fastest step: the first one includes the preparation of kernels, and others may
// have been delayed.
double RateOf(const RunRecord& record) {
  double rate = 0;
  const std::vector<double> flops = StepFlops(record);
  for (size_t i = 0; i < flops.size(); ++i) {
    if (record.step_seconds[i] > 0) rate = std::max(rate, flops[i] / record.step_seconds[i]);
  }
  return rate;
}

// Executes a run of a few steps in a temporary ledger.
double ProbeRate(RunSpec spec, const std::string& dir, Executor& executor) {
  constexpr int64_t kSteps = 4, kRewardSteps = 3;
  spec.run.steps.max_steps = spec.rewards() ? kRewardSteps : kSteps;
  spec.eval_at.clear();
  // One at a time, so that they neither slow each other down nor share the folder; what a killed
  // one left is removed by the next.
  const WaitingLock lock(dir + "/probe.lock");
  const std::string probe = dir + "/probe";
  std::error_code ignored;
  fs::remove_all(probe, ignored);
  const Unfinished removed_at_the_end(probe);
  Ledger ledger(probe);
  Executor borrowed(ledger, [&executor, &spec](const std::string&) {
    return ForProbe(executor.ModelAt(spec.model));
  });
  borrowed.Run(spec, 0, {});
  const auto record = ledger.Read(RunId(spec));
  return record ? RateOf(*record) : 0;
}

std::string SectionPath(const std::string& dir, const Experiment& experiment) {
  return dir + "/" + experiment.name;
}

std::vector<RunRecord> RunsIn(const Ledger& ledger, const Experiment& experiment) {
  std::istringstream ids(ReadFile(SectionPath(ledger.dir(), experiment) + "/runs.txt"));
  std::vector<RunRecord> records;
  for (std::string id; std::getline(ids, id);) {
    if (auto record = ledger.Read(id)) records.push_back(std::move(*record));
  }
  return records;
}

// Writes the page from the sections in the folder.
void WritePage(const std::string& dir) {
  std::vector<std::string> sections;
  for (const Experiment* experiment : ExperimentsIn(dir)) {
    const std::string path = SectionPath(dir, *experiment) + "/section.html";
    std::error_code ignored;
    if (fs::exists(path, ignored)) sections.push_back(ReadFile(path));
  }
  WriteFileAtomically(dir + "/report.html", HtmlPage("Lorikeet study", sections));
}

}  // namespace

SweepSettings SweepOf(const StudySettings& settings) {
  return {.points = settings.lr_points,
          .per_decade = settings.lr_per_decade,
          .seeds = settings.Seeds()};
}

int64_t MemoryOf(const StudyPlan& plan, const SweepSettings& sweep, const Ledger& ledger,
                 Executor& executor) {
  int64_t most = 0;
  std::set<std::string> seen;  // conditions: rate and seed do not change the memory
  for (const RunSpec& spec : FirstRuns(plan, sweep)) {
    if (!ledger.Has(RunId(spec)) && seen.insert(spec.model + ConditionKey(spec)).second) {
      most = std::max(most, MemoryOf(spec, executor.ModelAt(spec.model)));
    }
  }
  return most;
}

PlannedCost CostOf(const StudyPlan& plan, const SweepSettings& sweep, const Ledger& ledger,
                   Executor& executor) {
  PlannedCost cost;
  cost.conditions = static_cast<int>(plan.swept.size());
  const std::vector<RunSpec> runs = FirstRuns(plan, sweep);
  const RunSpec* largest = nullptr;
  double most = 0;
  for (const RunSpec& spec : runs) {
    ++cost.runs;
    if (ledger.Has(RunId(spec))) {
      ++cost.finished;
      continue;
    }
    const double flops = FlopsOf(spec, executor.ModelAt(spec.model)).total();
    cost.flops += flops;
    if (flops > most) largest = &spec;
    most = std::max(most, flops);
  }
  const bool rewards = !runs.empty() && runs.front().rewards() != nullptr;
  cost.at_most = rewards;
  cost.flops_per_second = RateOfFinished(ledger, rewards);
  cost.measured = "measured in the finished runs";
  if (cost.flops_per_second == 0 && largest != nullptr) {
    cost.flops_per_second = ProbeRate(*largest, ledger.dir(), executor);
    cost.measured = "measured in a few steps of the largest run";
  }
  return cost;
}

std::string CostText(const PlannedCost& cost, int jobs) {
  std::string text = fmt::format("{} runs", cost.runs);
  if (cost.conditions > 0) text += fmt::format(" of {} swept conditions", cost.conditions);
  if (cost.finished > 0) text += fmt::format(", {} of them finished", cost.finished);
  if (cost.flops > 0 && cost.flops_per_second > 0) {
    text +=
        fmt::format("; {}{}FLOP to come, about {} at {}FLOP/s a process ({}), {} process{}",
                    cost.at_most ? "if every completion had max_tokens " : "",
                    ShortCount(cost.flops), HumanDuration(cost.Seconds(jobs)),
                    ShortCount(cost.flops_per_second), cost.measured, jobs, jobs == 1 ? "" : "es");
  }
  if (cost.conditions > 0) text += "; grids are extended while an optimum lies at an edge";
  return text + "\n";
}

void KeepPlan(const Experiment& experiment, const StudySettings& settings,
              const std::vector<std::string>& run_ids, const Ledger& ledger) {
  const std::string dir = SectionPath(ledger.dir(), experiment);
  CreateFolders(dir);
  StudySettings copy = settings;
  WriteFileAtomically(dir + "/config.yaml", ToYaml(OptionTable(copy)));
  std::string lines;
  for (const std::string& id : run_ids) lines += id + "\n";
  WriteFileAtomically(dir + "/runs.txt", lines);
}

Report ReportFromRuns(const Experiment& experiment, const StudySettings& settings,
                      const Ledger& ledger) {
  const std::string dir = SectionPath(ledger.dir(), experiment);
  const std::vector<RunRecord> records = RunsIn(ledger, experiment);
  Report report = experiment.analyse(settings, records);
  WriteFileAtomically(dir + "/section.html", WriteReport(report, dir));
  WritePage(ledger.dir());
  WriteFileAtomically(ledger.dir() + "/claims.json", ClaimsOf({ledger.dir()}).dump(2) + "\n");
  return report;
}

int64_t PlannedMemory(const std::string& dir, const Experiment& experiment, int64_t now,
                      bool record) {
  const std::string section = SectionPath(dir, experiment), path = section + "/memory.json";
  std::error_code ignored;
  if (fs::exists(path, ignored)) {
    const Json json = ParseJson(ReadFile(path), path);
    return JsonFields(json, path).Int("bytes", 0, std::numeric_limits<int64_t>::max());
  }
  if (record) {
    CreateFolders(section);
    WriteFileAtomically(path, Json{{"bytes", now}}.dump() + "\n");
  }
  return now;
}

std::vector<const Experiment*> ExperimentsIn(const std::string& dir) {
  std::vector<const Experiment*> found;
  for (const Experiment& experiment : Experiments()) {
    std::error_code ignored;
    if (fs::exists(SectionPath(dir, experiment) + "/runs.txt", ignored)) {
      found.push_back(&experiment);
    }
  }
  if (found.empty()) {
    Fail(ErrorCode::kNotFound,
         "{}: contains no study; give the output_dir of `lorikeet study NAME`", dir);
  }
  return found;
}

StudySettings SettingsIn(const std::string& dir, const Experiment& experiment) {
  StudySettings settings;
  SetDefaults(settings);
  ApplyYamlFile(OptionTable(settings), SectionPath(dir, experiment) + "/config.yaml");
  return settings;
}

Json ClaimsOf(const std::vector<std::string>& dirs) {
  Json claims = Json::array();
  for (const std::string& dir : dirs) {
    const Ledger ledger(dir);
    for (const Experiment* experiment : ExperimentsIn(dir)) {
      const Report report =
          experiment->analyse(SettingsIn(dir, *experiment), RunsIn(ledger, *experiment));
      for (Json& finding : FindingsJson(report)) {
        finding["study"] = dir;
        claims.push_back(std::move(finding));
      }
    }
  }
  return claims;
}

std::string ConclusionsText(const Report& report) {
  std::string text = report.title + "\n";
  for (const std::string& sentence : report.conclusions) text += "  - " + sentence + "\n";
  return text;
}

}  // namespace lorikeet
