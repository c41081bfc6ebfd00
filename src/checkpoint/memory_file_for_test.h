// For tests and fuzz targets: bytes that can be opened by path without touching a disk.
#pragma once
#include <sys/mman.h>
#include <unistd.h>

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

}  // namespace lorikeet
