// Files: mapping, whole reads, and writes that are either complete or absent.
#pragma once
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace lorikeet {

// A file mapped read-only. Throws Error naming the path.
class MappedFile {
 public:
  MappedFile() = default;
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  const std::byte* data() const { return data_; }
  size_t size() const { return size_; }
  const std::string& path() const { return path_; }
  // Whole pages of [begin, begin + bytes) leave this process's memory until they are read again:
  // for what was copied from and is not needed any more. Nothing happens to memory elsewhere.
  void Forget(const void* begin, size_t bytes) const;

 private:
  std::string path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

std::string ReadFile(const std::string& path);
// A folder and those it lies in, where they are not there yet. Throws Error(kIo): "DIR: cannot
// create: why", with `what` in front of it ("output_dir ").
void CreateFolders(const std::string& dir, std::string_view what = {});
// Writes `path`.tmp, fsyncs, renames, fsyncs the folder: readers see the old file or the new one.
void WriteFileAtomically(const std::string& path, std::string_view content);
// As above for content that is streamed: `write` gets a file descriptor open for writing.
void WriteFileAtomically(const std::string& path, const std::function<void(int fd)>& write);
// write(2) until all is written; throws Error naming `path` (disk full, ...).
void WriteAll(int fd, const void* data, size_t bytes, const std::string& path);
// Fills DIR.tmp by `fill(tmp)`, fsyncs its files, then renames it to `dir` (an existing one is
// replaced).
void WriteFolderAtomically(const std::string& dir,
                           const std::function<void(const std::string&)>& fill);

}  // namespace lorikeet
