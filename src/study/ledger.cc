#include "study/ledger.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <numeric>
#include <sstream>

#include "core/error.h"
#include "core/file.h"
#include "train/run_settings.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;

Json ResultJson(const RunRecord& record) {
  return {{"id", record.id},
          {"status", record.diverged ? "diverged" : "done"},
          {"why", record.why},
          {"steps", record.steps},
          {"trainable_parameters", record.trainable},
          {"tokens", record.tokens},
          {"trained_tokens", record.trained_tokens},
          {"eval_tokens", record.eval_tokens},
          {"flops_per_token", record.flops_per_token},
          {"sampling_flops", record.sampling_flops},
          {"eval_seconds", record.eval_seconds},
          {"peak_rss_bytes", record.peak_bytes},
          {"facts", record.facts}};
}

void TakeResult(const Json& json, RunRecord* record) {
  json.at("id").get_to(record->id);
  record->diverged = json.at("status") == "diverged";
  json.at("why").get_to(record->why);
  json.at("steps").get_to(record->steps);
  json.at("trainable_parameters").get_to(record->trainable);
  json.at("tokens").get_to(record->tokens);
  json.at("trained_tokens").get_to(record->trained_tokens);
  json.at("eval_tokens").get_to(record->eval_tokens);
  json.at("flops_per_token").get_to(record->flops_per_token);
  record->sampling_flops = json.value("sampling_flops", 0.0);  // missing in older files
  json.at("eval_seconds").get_to(record->eval_seconds);
  json.at("peak_rss_bytes").get_to(record->peak_bytes);
  record->facts = json.at("facts");
}

double NumberOr(const Json& line, const char* key, double other) {
  const auto found = line.find(key);
  return found == line.end() || !found->is_number() ? other : found->get<double>();
}

RewardStep RewardStepOf(const Json& line) {
  return {.reward = NumberOr(line, "reward", kUnknown),
          .advantage_entropy = NumberOr(line, "advantage_entropy", 0),
          .mean_length = NumberOr(line, "completions/mean_length", 0),
          .truncated = NumberOr(line, "completions/clipped_ratio", 0),
          .logp_difference = NumberOr(line, "sampling/logp_difference_max", 0),
          .runaway = NumberOr(line, "completions/runaway", 0) > 0,
          .sampled_tokens = std::llround(NumberOr(line, "sampling/tokens", 0)),
          .trained_tokens = std::llround(NumberOr(line, "training/tokens", 0))};
}

// Parses the line of a step or of an evaluation, as train/sft and rl/rl_loop write them.
void TakeLine(const Json& line, RunRecord* record) {
  if (line.contains("eval_loss")) {
    record->evals.push_back({.step = line.at("step").get<int64_t>(),
                             .loss = NumberOr(line, "eval_loss", kUnknown),
                             .norm_a = NumberOr(line, "norm_a", 0),
                             .norm_b = NumberOr(line, "norm_b", 0),
                             .norm_update = NumberOr(line, "norm_update", 0)});
  } else if (line.contains("eval_accuracy")) {
    record->evals.push_back({.step = line.at("step").get<int64_t>(),
                             .loss = kUnknown,
                             .solved = NumberOr(line, "eval_accuracy", kUnknown)});
  } else if (line.contains("reward")) {
    record->reward_steps.push_back(RewardStepOf(line));
    record->step_seconds.push_back(NumberOr(line, "sampling_seconds", 0) +
                                   NumberOr(line, "training_seconds", 0));
  } else {
    // Totals of the whole run, over all of its processes and however it ended.
    record->tokens = line.value("num_tokens", record->tokens);
    record->trained_tokens = line.value("trained_tokens", record->trained_tokens);
    record->losses.push_back(NumberOr(line, "loss", kUnknown));
    record->step_seconds.push_back(NumberOr(line, "step_seconds", 0));
  }
}

std::string MadeRunDir(const Ledger& ledger, const std::string& id) {
  CreateFolders(ledger.RunDir(id));
  return ledger.RunDir(id);
}

// IDs of the runs in a study's folder, sorted.
std::vector<std::string> RunsIn(const std::string& dir) {
  std::vector<std::string> ids;
  std::error_code error;
  for (fs::directory_iterator it(dir + "/runs", error), end; !error && it != end;
       it.increment(error)) {
    ids.push_back(it->path().filename().string());
  }
  std::sort(ids.begin(), ids.end());
  return ids;
}

}  // namespace

double RunRecord::TrainSeconds() const {
  return std::accumulate(step_seconds.begin(), step_seconds.end(), 0.0);
}

double RunRecord::RewardAt(int64_t step) const {
  const auto made = static_cast<int64_t>(reward_steps.size());
  if (spec.rewards() == nullptr || made == 0) return diverged ? 0 : kUnknown;
  if (step == 0) return reward_steps.front().reward;
  if (step > made && !diverged) return kUnknown;
  const int64_t first = std::max<int64_t>(0, step - spec.final_steps);
  double sum = 0;
  for (int64_t i = first; i < std::min(step, made); ++i) {
    sum += reward_steps[static_cast<size_t>(i)].reward;
  }
  return sum / static_cast<double>(step - first);
}

double RunRecord::LossAt(int64_t step) const {
  if (spec.rewards()) return 1 - RewardAt(step);
  for (const EvalPoint& point : evals) {
    if (point.step == step && std::isfinite(point.loss)) return point.loss;
  }
  if (!diverged || step <= steps || evals.empty()) return kUnknown;
  const double last = evals.back().loss, first = evals.front().loss;
  return std::isfinite(last) ? std::max(last, first) : first;
}

bool Ledger::Has(const std::string& id) const {
  std::error_code ignored;
  return fs::exists(RunDir(id) + "/result.json", ignored);
}

std::optional<RunRecord> Ledger::Read(const std::string& id) const {
  if (!Has(id)) return std::nullopt;
  const std::string dir = RunDir(id), result = dir + "/result.json";
  RunRecord record;
  record.spec =
      RunSpecFromJson(ParseJson(ReadFile(dir + "/run.json"), dir + "/run.json"), dir + "/run.json");
  try {
    TakeResult(ParseJson(ReadFile(result), result), &record);
    ReadMetrics(id, &record);
  } catch (const Json::exception& e) {
    Fail(ErrorCode::kCorruptFile, "{}: {}; remove the folder to execute the run again", dir,
         e.what());
  }
  return record;
}

void Ledger::ReadMetrics(const std::string& id, RunRecord* record) const {
  const std::string path = RunDir(id) + "/metrics.jsonl";
  std::istringstream text(ReadFile(path));
  for (std::string line; std::getline(text, line);) TakeLine(ParseJson(line, path), record);
}

std::vector<RunRecord> Ledger::ReadAll() const {
  std::vector<RunRecord> records;
  for (const std::string& id : RunsIn(dir_)) {
    if (auto record = Read(id)) records.push_back(std::move(*record));
  }
  return records;
}

bool Ledger::HasRunOf(const std::string& model_fingerprint) const {
  for (const std::string& id : RunsIn(dir_)) {
    const std::string path = RunDir(id) + "/run.json";
    std::error_code ignored;
    if (!fs::exists(path, ignored)) continue;
    const Json run = ParseJson(ReadFile(path), path);
    if (run.is_object() && run.value("model_print", Json()) == model_fingerprint) return true;
  }
  return false;
}

void Ledger::Begin(const RunSpec& spec) const {
  const std::string dir = RunDir(RunId(spec));
  CreateFolders(dir);
  WriteFileAtomically(dir + "/run.json", ToJson(spec).dump(2) + "\n");
}

void Ledger::Finish(const RunRecord& record) const {
  WriteFileAtomically(RunDir(record.id) + "/result.json", ResultJson(record).dump(2) + "\n");
}

void Ledger::WriteIndex() const {
  std::string lines;
  for (const RunRecord& record : ReadAll()) {
    Json line = ResultJson(record);
    line["run"] = ToJson(record.spec);
    if (record.spec.rewards()) {
      line["final_reward"] = record.RewardAt(record.spec.steps());
    } else {
      line["final_loss"] = record.FinalLoss();
    }
    line["train_seconds"] = record.TrainSeconds();
    lines += line.dump() + "\n";
  }
  WriteFileAtomically(dir_ + "/runs.jsonl", lines);
}

std::string FingerprintIn(const Ledger& ledger, const Model& model) {
  const std::string sample = SampledFingerprintOf(model);
  if (ledger.HasRunOf(sample)) {
    const std::string whole = FingerprintOf(model);
    return ledger.HasRunOf(whole) ? whole : sample;
  }
  return FingerprintOf(model);
}

RunLock::RunLock(const Ledger& ledger, const std::string& id)
    : lock_(MadeRunDir(ledger, id), FolderLock::After::kKeep) {}

}  // namespace lorikeet
