#include "checkpoint/hub_cache.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/file.h"
#include "core/text.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;

// In huggingface_hub's order of precedence; the first that is set is the cache. The later ones are
// searched as well: a model found there is better than none.
std::vector<fs::path> CacheFolders() {
  std::vector<fs::path> folders;
  const auto add = [&](const char* variable, const char* below) {
    const char* value = std::getenv(variable);
    if (value != nullptr && *value != '\0') folders.push_back(fs::path(value) / below);
  };
  add("HF_HUB_CACHE", "");
  add("HF_HOME", "hub");
  add("XDG_CACHE_HOME", "huggingface/hub");
  add("HOME", ".cache/huggingface/hub");
  return folders;
}

// Whether a text has only characters of repository names and revisions and cannot leave the folder.
bool IsSafe(std::string_view text) {
  return !text.empty() && text.find("..") == std::string_view::npos && text.front() != '/' &&
         std::ranges::all_of(text, [](unsigned char c) {
           return std::isalnum(c) != 0 ||
                  std::string_view("-_./").find(static_cast<char>(c)) != std::string_view::npos;
         });
}

std::string FirstLine(const fs::path& path) {
  const std::string text = ReadFile(path.string());
  return text.substr(0, text.find_first_of("\r\n"));
}

// The snapshot of a revision; empty if the cache does not have it.
fs::path SnapshotOf(const fs::path& model, const std::string& revision) {
  std::error_code ignored;
  const fs::path ref = model / "refs" / revision;
  const std::string commit = fs::is_regular_file(ref, ignored) ? FirstLine(ref) : revision;
  const fs::path snapshot = model / "snapshots" / commit;
  return IsSafe(commit) && fs::is_directory(snapshot, ignored) ? snapshot : fs::path();
}

}  // namespace

std::string FindInHubCache(const std::string& name) {
  const size_t at = name.find('@');
  const std::string repository = name.substr(0, at);
  const std::string revision = at == std::string::npos ? "main" : name.substr(at + 1);
  if (!IsSafe(repository) || !IsSafe(revision) || std::ranges::count(repository, '/') > 1) {
    Fail(ErrorCode::kNotFound,
         "{}: no such file or folder, and not a model's name (org/name or org/name@revision)",
         QuotedName(name));
  }
  std::string folder = "models--" + repository;
  if (const size_t slash = folder.find('/'); slash != std::string::npos) {
    folder.replace(slash, 1, "--");
  }
  std::string looked;
  for (const fs::path& cache : CacheFolders()) {
    const fs::path snapshot = SnapshotOf(cache / folder, revision);
    if (!snapshot.empty()) return snapshot.string();
    looked += (looked.empty() ? "" : ", ") + (cache / folder).string();
  }
  Fail(ErrorCode::kNotFound,
       "{}: no such file or folder, and revision {} of it is not in the Hugging Face cache (looked "
       "in {}); give a folder, or download it there with 'hf download {}'",
       QuotedName(name), QuotedName(revision),
       looked.empty() ? "no folder: HOME is not set" : looked, repository);
}

}  // namespace lorikeet
