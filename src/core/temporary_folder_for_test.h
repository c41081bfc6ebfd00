// A `TemporaryFolder` is a test's own folder, empty at first and removed by the destructor.
#pragma once
#include <unistd.h>

#include <filesystem>
#include <string>

namespace lorikeet {

class TemporaryFolder {
 public:
  // Folders that exist at the same time need different names.
  explicit TemporaryFolder(const std::string& name = "test")
      : path_(std::filesystem::temp_directory_path() /
              ("lorikeet_" + name + "_" + std::to_string(getpid()))) {
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::string path() const { return path_.string(); }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace lorikeet
