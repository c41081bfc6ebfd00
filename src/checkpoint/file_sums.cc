#include "checkpoint/file_sums.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "core/checksum.h"
#include "core/error.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFiles = "files";
constexpr const char* kCrc = "crc32c";
constexpr const char* kBytes = "bytes";

std::string Hex(uint32_t crc) { return fmt::format("{:08x}", crc); }

// Checksum of the text without it. Numbers are written so that reading them gives the same bits.
std::string OwnSum(Json state) {
  state.erase(kCrc);
  return Hex(Crc32c(state.dump(2)));
}

[[noreturn]] void FailDamaged(const std::string& path, const std::string& how) {
  Fail(ErrorCode::kCorruptFile,
       "{}: damaged: {}; use another checkpoint, or one from a backup (to read it as it is, remove "
       "{} beside it)",
       path, how, kRunStateFile);
}

void CheckAgainst(const Json& entry, const MappedFile& file) {
  const auto bytes = entry.at(kBytes).get<uint64_t>();
  const auto crc = entry.at(kCrc).get<std::string>();
  if (bytes != file.size()) {
    FailDamaged(file.path(),
                fmt::format("it has {} bytes, and {} were written", file.size(), bytes));
  }
  const std::string now = Hex(SumOf(file).crc32c);
  if (now != crc) {
    FailDamaged(file.path(),
                fmt::format("its CRC-32C is {}, and that of what was written {}", now, crc));
  }
}

}  // namespace

Json FileSumsOf(const std::string& dir) {
  Json sums = Json::object();
  for (const auto& entry : fs::directory_iterator(dir)) {
    if (!entry.is_regular_file()) continue;
    const FileSum sum = SumOf(entry.path().string());
    sums[entry.path().filename().string()] = {{kBytes, sum.bytes}, {kCrc, Hex(sum.crc32c)}};
  }
  return sums;
}

std::string WithOwnSum(Json state) {
  state[kCrc] = OwnSum(state);
  return state.dump(2) + "\n";
}

Json ReadSummedState(const std::string& dir) {
  const std::string path = (fs::path(dir) / kRunStateFile).string();
  Json state = ParseJson(ReadFile(path), path);
  const auto sum = state.is_object() ? state.find(kCrc) : state.end();
  if (sum != state.end() && *sum != OwnSum(state)) {
    Fail(ErrorCode::kCorruptFile,
         "{}: damaged: its CRC-32C is not that of what was written; use another checkpoint, or one "
         "from a backup",
         path);
  }
  return state;
}

void CheckFileSums(const std::string& dir, const Json& state) {
  const auto files = state.find(kFiles);
  if (files == state.end()) return;
  for (const auto& [name, entry] : files->items()) {
    const std::string path = (fs::path(dir) / name).string();
    std::error_code ignored;
    if (!fs::exists(path, ignored)) FailDamaged(path, "it is missing");
    CheckAgainst(entry, MappedFile(path));
  }
}

void CheckFileSum(const MappedFile& file) {
  const fs::path path = file.path();
  std::error_code ignored;
  const fs::path dir = path.has_parent_path() ? path.parent_path() : ".";
  if (!fs::exists(dir / kRunStateFile, ignored)) return;
  const Json state = ReadSummedState(dir.string());
  try {
    const auto files = state.find(kFiles);
    if (files == state.end()) return;
    const auto entry = files->find(path.filename().string());
    if (entry != files->end()) CheckAgainst(*entry, file);
  } catch (const Json::exception& e) {
    Fail(ErrorCode::kCorruptFile, "{}: {}; use another checkpoint", (dir / kRunStateFile).string(),
         e.what());
  }
}

}  // namespace lorikeet
