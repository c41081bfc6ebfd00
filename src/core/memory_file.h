// A `MemoryFile` is a text in memory that this process and its children can read as a file.
#pragma once
#include <string>
#include <string_view>

namespace lorikeet {

class MemoryFile {
 public:
  // Throws Error(kIo).
  explicit MemoryFile(std::string_view content);
  ~MemoryFile();
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  const std::string& path() const { return path_; }  // valid while the object lives

 private:
  int fd_ = -1;
  std::string path_;
};

}  // namespace lorikeet
