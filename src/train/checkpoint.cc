#include "train/checkpoint.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>

#include "core/error.h"
#include "core/file.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "checkpoint-";
constexpr const char* kRunState = "run_state.json";
constexpr std::array kNeeded = {kRunState, "trainer_state.json", "training_state.safetensors"};

// The step of "checkpoint-12", -1 for other names.
int64_t StepOf(std::string_view name) {
  if (!name.starts_with(kPrefix)) return -1;
  name.remove_prefix(kPrefix.size());
  int64_t step = -1;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), step);
  return error == std::errc() && end == name.data() + name.size() ? step : -1;
}

std::string FirstMissing(const std::string& dir) {
  for (const char* name : kNeeded) {
    std::error_code ignored;
    if (!fs::exists(fs::path(dir) / name, ignored)) return name;
  }
  return "";
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

void CleanLeftovers(const std::string& output_dir) {
  for (const fs::path& folder : FoldersIn(output_dir)) {
    const std::string stem = folder.stem().string(), extension = folder.extension().string();
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
    WriteFileAtomically(tmp + "/" + kRunState, parts.run_state.dump(2) + "\n");
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
    std::error_code ignored;  // deleting is tried again after the next checkpoint
    fs::remove_all(checkpoint.dir, ignored);
  }
}

Json ReadRunState(const std::string& dir) {
  RequireComplete(dir);
  const std::string path = (fs::path(dir) / kRunState).string();
  return ParseJson(ReadFile(path), path);
}

}  // namespace lorikeet
