#include "train/checkpoint.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>

#include "checkpoint/file_sums.h"
#include "core/error.h"
#include "core/file.h"
#include "core/folders.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "checkpoint-";
constexpr const char* kTrainingState = "training_state.safetensors";
constexpr std::array kNeeded = {kRunStateFile, "trainer_state.json", kTrainingState};
// The weights: of an adapter, or of a model in one file or several.
constexpr std::array<std::array<const char*, 2>, 3> kWeights = {{
    {"adapter_config.json", "adapter_model.safetensors"},
    {"config.json", "model.safetensors"},
    {"config.json", "model.safetensors.index.json"},
}};

// The step of "checkpoint-12", -1 for other names.
int64_t StepOf(std::string_view name) {
  if (!name.starts_with(kPrefix)) return -1;
  name.remove_prefix(kPrefix.size());
  int64_t step = -1;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), step);
  return error == std::errc() && end == name.data() + name.size() ? step : -1;
}

std::string FirstMissing(const std::string& dir) {
  const auto has = [&dir](const char* name) {
    std::error_code ignored;
    return fs::exists(fs::path(dir) / name, ignored);
  };
  for (const char* name : kNeeded) {
    if (!has(name)) return name;
  }
  const bool whole = std::any_of(kWeights.begin(), kWeights.end(),
                                 [&](const auto& names) { return has(names[0]) && has(names[1]); });
  if (whole) return "";
  return has("adapter_config.json") || has("adapter_model.safetensors")
             ? "a part of the adapter (adapter_config.json, adapter_model.safetensors)"
             : "a file of weights (adapter_model.safetensors, model.safetensors)";
}

// Whether only this program can have left an incomplete folder: it has a file of its own, or none.
bool IsOurs(const fs::path& folder) {
  std::error_code ignored;
  return fs::exists(folder / kRunStateFile, ignored) ||
         fs::exists(folder / kTrainingState, ignored) || fs::is_empty(folder, ignored);
}

std::vector<fs::path> FoldersIn(const std::string& dir) {
  std::vector<fs::path> folders;
  std::error_code error;
  for (fs::directory_iterator it(dir, error), end; !error && it != end; it.increment(error)) {
    if (it->is_directory(error)) folders.push_back(it->path());
  }
  return folders;
}

}  // namespace

std::string CheckpointDir(const std::string& output_dir, int64_t step) {
  return (fs::path(output_dir) / (std::string(kPrefix) + std::to_string(step))).string();
}

std::vector<CheckpointRef> ListCheckpoints(const std::string& output_dir) {
  std::vector<CheckpointRef> found;
  for (const fs::path& folder : FoldersIn(output_dir)) {
    const int64_t step = StepOf(folder.filename().string());
    if (step >= 0 && FirstMissing(folder.string()).empty())
      found.push_back({step, folder.string()});
  }
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return a.step < b.step; });
  return found;
}

std::string LatestCheckpoint(const std::string& output_dir) {
  const std::vector<CheckpointRef> found = ListCheckpoints(output_dir);
  if (found.empty()) {
    Fail(ErrorCode::kNotFound,
         "{}: no complete checkpoint-N in it to resume from; start without resume", output_dir);
  }
  return found.back().dir;
}

void RequireComplete(const std::string& dir) {
  const std::string missing = FirstMissing(dir);
  if (missing.empty()) return;
  Fail(ErrorCode::kNotFound, "{}: no complete checkpoint to resume from: {} is not there", dir,
       missing);
}

void RequireUndamaged(const std::string& dir) {
  const Json state = ReadRunState(dir);
  try {
    CheckFileSums(dir, state);
  } catch (const Json::exception& e) {
    Fail(ErrorCode::kCorruptFile, "{}/{}: {}; resume from another checkpoint", dir, kRunStateFile,
         e.what());
  }
}

void CleanLeftovers(const std::string& output_dir) {
  for (const fs::path& folder : FoldersIn(output_dir)) {
    const std::string stem = folder.stem().string(), extension = folder.extension().string();
    const bool checkpoint = extension.empty() && StepOf(stem) >= 0;
    if (checkpoint && !FirstMissing(folder.string()).empty() && IsOurs(folder)) {
      RemoveFolderAtomically(folder.string());  // half deleted by an older version
      continue;
    }
    if (StepOf(stem) < 0 || (extension != ".tmp" && extension != ".old")) continue;
    std::error_code ignored;
    const fs::path whole = folder.parent_path() / stem;
    if (extension == ".old" && !fs::exists(whole, ignored)) {
      fs::rename(folder, whole, ignored);  // killed between the two renames of a replacement
    } else {
      fs::remove_all(folder, ignored);
    }
  }
}

void WriteCheckpoint(const std::string& dir, const TrainingRun& run, const CheckpointParts& parts) {
  WriteFolderAtomically(dir, [&](const std::string& tmp) {
    run.SaveWeights(tmp);
    run.SaveState(tmp);
    if (parts.text_files) parts.text_files(tmp);
    WriteFileAtomically(tmp + "/trainer_state.json", parts.trainer_state.dump(2) + "\n");
    Json state = parts.run_state;
    state["files"] = FileSumsOf(tmp);
    WriteFileAtomically(tmp + "/" + kRunStateFile, WithOwnSum(std::move(state)));
  });
}

void RotateCheckpoints(const std::string& output_dir, int64_t step, int64_t keep,
                       int64_t best_step) {
  std::vector<CheckpointRef> present = ListCheckpoints(output_dir);
  const auto abandoned = std::find_if(present.begin(), present.end(),
                                      [&](const CheckpointRef& c) { return c.step > step; });
  std::vector<CheckpointRef> doomed(abandoned, present.end());
  present.erase(abandoned, present.end());
  const auto kept = std::max<int64_t>(keep, 1);
  for (size_t i = 0; i + static_cast<size_t>(kept) < present.size(); ++i) {
    if (present[i].step != best_step) doomed.push_back(present[i]);
  }
  for (const CheckpointRef& checkpoint : doomed) {
    RemoveFolderAtomically(checkpoint.dir);  // tried again after the next checkpoint
  }
}

void RemoveCheckpointsAfter(const std::string& output_dir, int64_t step) {
  std::vector<CheckpointRef> present = ListCheckpoints(output_dir);
  std::reverse(present.begin(), present.end());  // killed here, the run resumes without a gap
  for (const CheckpointRef& checkpoint : present) {
    if (checkpoint.step <= step) break;
    RemoveFolderAtomically(checkpoint.dir);
    std::error_code ignored;
    if (!fs::exists(checkpoint.dir, ignored)) continue;
    Fail(ErrorCode::kIo,
         "{}: cannot be removed, and a run resumed at step {} gives it up; remove it",
         checkpoint.dir, step);
  }
}

Json ReadRunState(const std::string& dir) {
  RequireComplete(dir);
  return ReadSummedState(dir);
}

}  // namespace lorikeet
