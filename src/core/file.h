// Files: mapping, reading whole files, and atomic writes, which are either complete or absent.
#pragma once
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace lorikeet {

// A file mapped read-only. Throws Error naming the path; also for a Git LFS pointer, the few lines
// of text that a clone without Git LFS has in place of a large file.
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
  // Drops the whole pages of [begin, begin + bytes) from this process's memory until they are read
  // again: for data that was copied and is no longer needed. Memory outside the file is ignored.
  void Forget(const void* begin, size_t bytes) const;

 private:
  std::string path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

std::string ReadFile(const std::string& path);
// Throws Error(kCorruptFile) if the file begins as an HTML page: a saved error page in place of the
// file. For readers of files that cannot begin so.
void RefuseWebPage(const MappedFile& file);
void RefuseWebPage(std::string_view content, const std::string& where);
// Creates a folder and its parents where they do not exist. Throws Error(kIo): "DIR: cannot
// create: reason", with `what` ("output_dir ") before it.
void CreateFolders(const std::string& dir, std::string_view what = {});
// Writes `path`.tmp, fsyncs, renames, fsyncs the folder: readers see the old file or the new one.
// If it throws, `path`.tmp is removed.
void WriteFileAtomically(const std::string& path, std::string_view content);
// The same for streamed content: `write` gets a file descriptor open for writing.
void WriteFileAtomically(const std::string& path, const std::function<void(int fd)>& write);
// The same with a check that gets the path of the complete file before it is renamed, and may
// throw.
void WriteFileAtomically(const std::string& path, const std::function<void(int fd)>& write,
                         const std::function<void(const std::string& tmp)>& check);
// fsyncs a file or folder. File systems that cannot sync folders are let off. Throws Error(kIo).
void SyncPath(const std::string& path);
// Repeats write(2) until all bytes are written. Throws Error naming `path` (disk full, ...).
void WriteAll(int fd, const void* data, size_t bytes, const std::string& path);
// Fills DIR.tmp with `fill(tmp)`, fsyncs its files, then renames it to `dir`, which replaces an
// existing folder. If it throws, DIR.tmp is removed.
void WriteFolderAtomically(const std::string& dir,
                           const std::function<void(const std::string&)>& fill);

}  // namespace lorikeet
