// An adapter folder from any bytes: the config up to the first NUL, then the weights.
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "checkpoint/memory_file_for_test.h"
#include "checkpoint/peft.h"
#include "core/error.h"

namespace {

namespace fs = std::filesystem;

// A folder whose two files lie in memory. Links, since an adapter is opened by its folder.
class MemoryFolder {
 public:
  MemoryFolder(std::string_view config, std::string_view weights)
      : config_(config), weights_(weights) {
    fs::create_directories(dir_);
    fs::remove(dir_ / "adapter_config.json");
    fs::remove(dir_ / "adapter_model.safetensors");
    fs::create_symlink(config_.path(), dir_ / "adapter_config.json");
    fs::create_symlink(weights_.path(), dir_ / "adapter_model.safetensors");
  }
  std::string path() const { return dir_.string(); }

 private:
  lorikeet::MemoryFile config_, weights_;
  fs::path dir_ = fs::temp_directory_path() / ("peft_fuzz." + std::to_string(getpid()));
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lorikeet;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(input.find('\0'), size);
  const MemoryFolder folder(input.substr(0, end), input.substr(std::min(end + 1, size)));
  try {
    for (const auto& pair : ReadAdapter(folder.path()).pairs) CHECK(pair.a.rows() == pair.r);
  } catch (const Error&) {
  }
  return 0;
}
