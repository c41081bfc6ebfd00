#include "study/ledger.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <numeric>
#include <sstream>

#include "core/error.h"
#include "core/file.h"
#include "study/statistics.h"

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
  json.at("eval_seconds").get_to(record->eval_seconds);
  json.at("peak_rss_bytes").get_to(record->peak_bytes);
  record->facts = json.at("facts");
}

double NumberOr(const Json& line, const char* key, double other) {
  const auto found = line.find(key);
  return found == line.end() || !found->is_number() ? other : found->get<double>();
}

// Lines of a step and of an evaluation, as train/sft writes them.
void TakeMetrics(const std::string& path, RunRecord* record) {
  std::istringstream text(ReadFile(path));
  for (std::string line; std::getline(text, line);) {
    const Json json = ParseJson(line, path);
    if (json.contains("eval_loss")) {
      const auto step = json.at("step").get<int64_t>();
      record->evals.push_back({step, NumberOr(json, "eval_loss", kUnknown),
                               NumberOr(json, "norm_a", 0), NumberOr(json, "norm_b", 0),
                               NumberOr(json, "norm_update", 0)});
    } else {
      // Of the whole run, whichever processes made it and however it ended.
      record->tokens = json.value("num_tokens", record->tokens);
      record->trained_tokens = json.value("trained_tokens", record->trained_tokens);
      record->losses.push_back(NumberOr(json, "loss", kUnknown));
      record->step_seconds.push_back(NumberOr(json, "step_seconds", 0));
    }
  }
}

}  // namespace

double RunRecord::TrainSeconds() const {
  return std::accumulate(step_seconds.begin(), step_seconds.end(), 0.0);
}

double RunRecord::LossAt(int64_t step) const {
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
    TakeMetrics(dir + "/metrics.jsonl", &record);
  } catch (const Json::exception& e) {
    Fail(ErrorCode::kCorruptFile, "{}: {}; remove the folder, and the run is made again", dir,
         e.what());
  }
  return record;
}

std::vector<RunRecord> Ledger::ReadAll() const {
  std::vector<std::string> ids;
  std::error_code error;
  for (fs::directory_iterator it(dir_ + "/runs", error), end; !error && it != end;
       it.increment(error)) {
    ids.push_back(it->path().filename().string());
  }
  std::sort(ids.begin(), ids.end());
  std::vector<RunRecord> records;
  for (const std::string& id : ids) {
    if (auto record = Read(id)) records.push_back(std::move(*record));
  }
  return records;
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
    line["final_loss"] = record.FinalLoss();
    line["train_seconds"] = record.TrainSeconds();
    lines += line.dump() + "\n";
  }
  WriteFileAtomically(dir_ + "/runs.jsonl", lines);
}

RunLock::RunLock(const Ledger& ledger, const std::string& id) {
  const std::string dir = ledger.RunDir(id);
  std::error_code error;
  fs::create_directories(dir, error);
  const std::string path = dir + "/lock";
  fd_ = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (fd_ < 0) Fail(ErrorCode::kIo, "{}: cannot write: {}", path, std::strerror(errno));
  held_ = flock(fd_, LOCK_EX | LOCK_NB) == 0;
}

RunLock::~RunLock() {
  if (fd_ >= 0) close(fd_);
}

}  // namespace lorikeet
