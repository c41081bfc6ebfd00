// A `MemoryFile` makes bytes available under a path without a disk, for tests and fuzz targets.
#pragma once
#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <string_view>

#include "core/check.h"
#include "core/file.h"

namespace lorikeet {

class MemoryFile {
 public:
  explicit MemoryFile(std::string_view content)
      : fd_(memfd_create("test", MFD_CLOEXEC)), path_("/proc/self/fd/" + std::to_string(fd_)) {
    CHECK(fd_ >= 0);
    WriteAll(fd_, content.data(), content.size(), path_);
  }
  ~MemoryFile() { close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  const std::string& path() const { return path_; }
  void CutTo(size_t bytes) { CHECK(ftruncate(fd_, static_cast<off_t>(bytes)) == 0); }

 private:
  int fd_;
  std::string path_;
};

// A folder with links to two such files, for readers that open files by folder and name.
class MemoryFolder {
 public:
  MemoryFolder(const char* name, std::string_view content, const char* other_name,
               std::string_view other_content)
      : file_(content), other_(other_content) {
    std::filesystem::create_directories(dir_);
    Link(file_, name);
    Link(other_, other_name);
  }
  std::string path() const { return dir_.string(); }

 private:
  void Link(const MemoryFile& file, const char* name) {
    std::filesystem::remove(dir_ / name);
    std::filesystem::create_symlink(file.path(), dir_ / name);
  }

  MemoryFile file_, other_;
  std::filesystem::path dir_ =
      std::filesystem::temp_directory_path() / ("memory_folder." + std::to_string(getpid()));
};

}  // namespace lorikeet
