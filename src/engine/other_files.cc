#include "engine/other_files.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "core/error.h"
#include "core/file.h"
#include "core/text.h"
#include "engine/text_files.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;

constexpr std::array kWeightEndings = {".safetensors", ".index.json", ".bin",  ".pt",
                                       ".pth",         ".ckpt",       ".gguf", ".onnx",
                                       ".h5",          ".msgpack",    ".npz",  ".tflite"};
// Written by this program, or an adapter's.
constexpr std::array kOwn = {"config.json",         "config.yaml",        "metrics.jsonl",
                             "train_summary.json",  "SHA256SUMS",         "checksums.json",
                             "adapter_config.json", "trainer_state.json", "Modelfile"};

bool IsOther(const std::string& name) {
  const std::string lower = LowerAscii(name);
  return !name.starts_with(".") && std::ranges::find(kOwn, name) == kOwn.end() &&
         !IsModelTextFile(name) &&
         std::ranges::none_of(kWeightEndings,
                              [&](std::string_view ending) { return lower.ends_with(ending); });
}

// Not mapped: a Git LFS pointer is copied as it is.
void CopyInto(int fd, const fs::path& from, const std::string& to) {
  std::ifstream file(from, std::ios::binary);
  std::array<char, 1 << 16> piece;
  while (file) {
    file.read(piece.data(), piece.size());
    WriteAll(fd, piece.data(), static_cast<size_t>(file.gcount()), to);
  }
  if (!file.eof()) Fail(ErrorCode::kIo, "{}: cannot read", from.string());
}

}  // namespace

void CopyOtherFiles(const ModelSource& source, const std::string& dir) {
  std::error_code none;
  if (source.IsGguf() || !fs::is_directory(source.path(), none)) return;
  for (const auto& entry : fs::directory_iterator(source.path())) {
    const std::string name = entry.path().filename().string();
    const fs::path to = fs::path(dir) / name;
    // A link of the cache to a file counts as the file.
    if (!entry.is_regular_file(none) || !IsOther(name) || fs::exists(to, none)) continue;
    WriteFileAtomically(to.string(), [&](int fd) { CopyInto(fd, entry.path(), to.string()); });
  }
}

}  // namespace lorikeet
