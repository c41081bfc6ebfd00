#include "checkpoint/adapter_formats.h"

#include <cstring>
#include <filesystem>

#include "checkpoint/mlx_adapter.h"
#include "core/error.h"
#include "core/file.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;

bool StartsAsGguf(const std::string& path) {
  const MappedFile file(path);
  return file.size() >= 4 && std::memcmp(file.data(), "GGUF", 4) == 0;
}

AdapterFormat FormatToRead(const std::string& path) {
  if (const auto format = AdapterFormatOf(path)) return *format;
  std::error_code ignored;
  if (fs::is_regular_file(path, ignored)) {
    RefuseWebPage(MappedFile(path));
    Fail(ErrorCode::kInvalidArgument,
         "{}: not an adapter; give a folder of peft or mlx-lm, or a GGUF file of an adapter", path);
  }
  return AdapterFormat::kPeft;  // its reader reports the missing file
}

}  // namespace

const char* AdapterFormatName(AdapterFormat format) {
  constexpr const char* kNames[] = {"peft", "mlx", "gguf"};
  return kNames[static_cast<size_t>(format)];
}

std::optional<AdapterFormat> AdapterFormatOf(const std::string& path) {
  std::error_code ignored;
  if (fs::is_regular_file(path, ignored)) {
    if (StartsAsGguf(path) && IsGgufAdapter(path)) return AdapterFormat::kGguf;
    return std::nullopt;
  }
  const fs::path folder(path);
  if (fs::exists(folder / "adapter_model.safetensors", ignored)) return AdapterFormat::kPeft;
  if (fs::exists(folder / "adapters.safetensors", ignored)) return AdapterFormat::kMlx;
  if (fs::exists(folder / "adapter_config.json", ignored)) return AdapterFormat::kPeft;
  return std::nullopt;
}

AdapterFile ReadAnyAdapter(const std::string& path, const AttentionHeads& heads) {
  switch (FormatToRead(path)) {
    case AdapterFormat::kMlx:
      return ReadMlxAdapter(path);
    case AdapterFormat::kGguf:
      return ReadGgufAdapter(path, heads);
    case AdapterFormat::kPeft:
      break;
  }
  return ReadAdapter(path);
}

std::string BaseNamedByAdapter(const std::string& path) {
  switch (FormatToRead(path)) {
    case AdapterFormat::kMlx:
      return BaseNamedByMlx(path);
    case AdapterFormat::kGguf:
      return BaseNamedByGguf(path);
    case AdapterFormat::kPeft:
      break;
  }
  const std::string config = (fs::path(path) / "adapter_config.json").string();
  return ParseLoraConfig(ReadFile(config), config).base_model_name_or_path;
}

}  // namespace lorikeet
