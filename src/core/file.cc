#include "core/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <utility>

#include "core/bus_error.h"
#include "core/error.h"
#include "core/folders.h"
#include "core/memory_file.h"
#include "core/text.h"

namespace lorikeet {
namespace {

[[noreturn]] void FailErrno(const std::string& path, const char* doing) {
  const int error = errno;
  Fail(error == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo, "{}: cannot {}: {}", path, doing,
       std::strerror(error));
}

class FileDescriptor {
 public:
  FileDescriptor(const std::string& path, int flags)
      : fd_(open(path.c_str(), flags | O_CLOEXEC, 0644)) {
    if (fd_ < 0) FailErrno(path, (flags & O_CREAT) != 0 ? "create" : "open");
  }
  ~FileDescriptor() {
    if (fd_ >= 0) close(fd_);
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

// Returns false with errno set if it fails.
bool TrySync(int fd) {
  if (fsync(fd) == 0) return true;
  // Some network and FUSE file systems cannot sync folders.
  const int error = errno;
  struct stat info {};
  if ((error == EINVAL || error == ENOTSUP) && fstat(fd, &info) == 0 && S_ISDIR(info.st_mode)) {
    return true;
  }
  errno = error;
  return false;
}

std::string ParentOf(const std::string& path) {
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  return parent.empty() ? "." : parent.string();
}

void RefusePointer(std::string_view content, const std::string& path) {
  if (!content.starts_with("version https://git-lfs")) return;
  Fail(ErrorCode::kCorruptFile,
       "{}: a Git LFS pointer, not the file itself; run git lfs pull in its folder, or get it with "
       "hf "
       "download",
       path);
}

std::string_view TextOf(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.data()), file.size()};
}

}  // namespace

void SyncPath(const std::string& path) {
  const FileDescriptor fd(path, O_RDONLY);
  if (!TrySync(fd.get())) FailErrno(path, "sync");
}

void RefuseWebPage(std::string_view content, const std::string& where) {
  const std::string begin = LowerAscii(Trimmed(content.substr(0, 64)));
  if (!begin.starts_with("<html") && !begin.starts_with("<!doctype")) return;
  Fail(ErrorCode::kCorruptFile,
       "{}: an HTML page, not the file itself: a download saved an error page; get the file again",
       where);
}
void RefuseWebPage(const MappedFile& file) { RefuseWebPage(TextOf(file), file.path()); }

// Delegates, so that the destructor unmaps a pointer that is refused.
MappedFile::MappedFile(const std::string& path) : MappedFile() {
  path_ = path;
  const FileDescriptor fd(path, O_RDONLY);
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) FailErrno(path, "read");
  if (!S_ISREG(info.st_mode)) Fail(ErrorCode::kInvalidArgument, "{}: not a regular file", path);
  size_ = static_cast<size_t>(info.st_size);
  if (size_ == 0) return;
  void* p = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  if (p == MAP_FAILED) FailErrno(path, "map into memory");
  data_ = static_cast<const std::byte*>(p);
  AddMapping(data_, size_, path_);
  RefusePointer(TextOf(*this), path);
}

MappedFile::~MappedFile() {
  if (data_ == nullptr) return;
  RemoveMapping(data_);
  munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

void MappedFile::Forget(const void* begin, size_t bytes) const {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto file = reinterpret_cast<uintptr_t>(data_), first = reinterpret_cast<uintptr_t>(begin);
  if (data_ == nullptr || first < file || first + bytes > file + size_) return;
  const uintptr_t from = (first + page - 1) / page * page, to = (first + bytes) / page * page;
  if (from < to) madvise(const_cast<std::byte*>(data_) + (from - file), to - from, MADV_DONTNEED);
}

MemoryFile::MemoryFile(std::string_view content)
    : fd_(memfd_create("lorikeet", 0)), path_("/proc/self/fd/" + std::to_string(fd_)) {
  if (fd_ < 0) FailErrno("a file in memory", "create");
  try {
    WriteAll(fd_, content.data(), content.size(), path_);
  } catch (...) {
    close(fd_);
    throw;
  }
}

MemoryFile::~MemoryFile() { close(fd_); }

std::string ReadFile(const std::string& path) {
  const MappedFile file(path);
  return std::string(reinterpret_cast<const char*>(file.data()), file.size());
}

void WriteAll(int fd, const void* data, size_t bytes, const std::string& path) {
  const char* p = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t n = write(fd, p, bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) FailErrno(path, "write");
    p += n;
    bytes -= static_cast<size_t>(n);
  }
}

void WriteFileAtomically(const std::string& path, const std::function<void(int fd)>& write) {
  WriteFileAtomically(path, write, [](const std::string& /*tmp*/) {});
}

void WriteFileAtomically(const std::string& path, const std::function<void(int fd)>& write,
                         const std::function<void(const std::string& tmp)>& check) {
  const std::string tmp = path + ".tmp";
  const FileDescriptor fd(tmp, O_WRONLY | O_CREAT | O_TRUNC);
  Unfinished unfinished(tmp);
  write(fd.get());
  if (fsync(fd.get()) != 0) FailErrno(tmp, "sync");
  check(tmp);
  if (rename(tmp.c_str(), path.c_str()) != 0) FailErrno(path, "rename into place");
  unfinished.Finished();
  SyncPath(ParentOf(path));
}

void WriteFileAtomically(const std::string& path, std::string_view content) {
  WriteFileAtomically(path, [&](int fd) { WriteAll(fd, content.data(), content.size(), path); });
}

void CreateFolders(const std::string& dir, std::string_view what) {
  namespace fs = std::filesystem;
  std::error_code error;
  fs::path made;
  for (const fs::path& part : fs::path(dir)) {
    made /= part;
    if (fs::is_directory(made, error)) continue;
    if (fs::create_directory(made, error)) SyncPath(ParentOf(made.string()));
    if (error) Fail(ErrorCode::kIo, "{}{}: cannot create: {}", what, dir, error.message());
  }
}

bool RemoveFolderAtomically(const std::string& dir) {
  namespace fs = std::filesystem;
  const std::string doomed = dir + ".tmp";
  std::error_code error;
  fs::remove_all(doomed, error);
  if (error || rename(dir.c_str(), doomed.c_str()) != 0) return false;
  const int parent = open(ParentOf(dir).c_str(), O_RDONLY | O_CLOEXEC);
  const bool synced = parent >= 0 && TrySync(parent);
  if (parent >= 0) close(parent);
  if (!synced) return false;  // a power cut could bring back half of it
  fs::remove_all(doomed, error);
  return !error;
}

Unfinished::~Unfinished() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

void WriteFolderAtomically(const std::string& dir,
                           const std::function<void(const std::string&)>& fill) {
  namespace fs = std::filesystem;
  const std::string tmp = dir + ".tmp", old = dir + ".old";
  std::error_code ignored;
  fs::remove_all(tmp, ignored);
  CreateFolders(tmp);
  Unfinished unfinished(tmp);  // it may have filled the disk
  fill(tmp);
  for (const auto& entry : fs::recursive_directory_iterator(tmp)) SyncPath(entry.path().string());
  SyncPath(tmp);
  if (fs::exists(dir)) {
    fs::remove_all(old, ignored);
    if (rename(dir.c_str(), old.c_str()) != 0) FailErrno(dir, "move aside");
  }
  if (rename(tmp.c_str(), dir.c_str()) != 0) {
    const int error = errno;
    fs::rename(old, dir, ignored);  // back, if it was moved aside
    errno = error;
    FailErrno(dir, "rename into place");
  }
  unfinished.Finished();
  SyncPath(ParentOf(dir));
  fs::remove_all(old, ignored);
}

}  // namespace lorikeet
