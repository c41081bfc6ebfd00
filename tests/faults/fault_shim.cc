// A library for LD_PRELOAD that counts a program's operations on the files below one folder, keeps
// a journal of them, and lets one of them fail or end the program.
//
//   FAULT_DIR      absolute path; operations on it and on all below it count
//   FAULT_JOURNAL  file to which every operation is appended (journal.h reads it)
//   FAULT_AT       number of the operation to which FAULT_KIND happens, from 1
//   FAULT_KIND     kill    the program ends before it, as by SIGKILL
//                  torn    the same, after the first half of its bytes if it is a write
//                  short   a write takes the first half of its bytes, which is no error
//                  enospc  it fails for lack of space, and so does all after it that takes space
//                  eio     it fails with an input/output error
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdarg>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <string_view>

namespace {

enum class Kind { kNone, kKill, kTorn, kShort, kNoSpace, kIoError };
// What an operation does: as asked, nothing but fail with errno, or the first half of its bytes.
enum class Verdict { kWhole, kFail, kHalf };

struct Operation {
  const char* name;
  std::string path;
  std::string other = {};       // the new name of a rename
  long offset = 0;              // place of a write, new size of a truncation
  std::string_view bytes = {};  // content of a write
  bool takes_space = false;
};

Kind KindOf(std::string_view name) {
  if (name == "kill") return Kind::kKill;
  if (name == "torn") return Kind::kTorn;
  if (name == "short") return Kind::kShort;
  if (name == "enospc") return Kind::kNoSpace;
  return name == "eio" ? Kind::kIoError : Kind::kNone;
}

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

constexpr int kKilled = 137;

class Faults {
 public:
  Faults()
      : dir_(Variable("FAULT_DIR")),
        at_(std::atol(Variable("FAULT_AT").c_str())),
        kind_(KindOf(Variable("FAULT_KIND"))) {
    const std::string journal = Variable("FAULT_JOURNAL");
    if (journal.empty()) return;
    journal_ = static_cast<int>(syscall(SYS_openat, AT_FDCWD, journal.c_str(),
                                        O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  }

  bool Covers(const std::string& path) const {
    return !dir_.empty() && path.starts_with(dir_) &&
           (path.size() == dir_.size() || path[dir_.size()] == '/');
  }

  Verdict Before(const Operation& operation) {
    const std::lock_guard lock(mutex_);
    Record(operation);
    const bool now = ++count_ == at_;
    const bool full = full_ && operation.takes_space;
    if (full || (now && (kind_ == Kind::kNoSpace || kind_ == Kind::kIoError))) {
      full_ = full_ || kind_ == Kind::kNoSpace;
      errno = kind_ == Kind::kNoSpace ? ENOSPC : EIO;
      return Verdict::kFail;
    }
    if (!now) return Verdict::kWhole;
    const bool splits = operation.bytes.size() > 1;
    if (kind_ == Kind::kKill || (kind_ == Kind::kTorn && !splits)) {
      syscall(SYS_exit_group, kKilled);
    }
    return splits && (kind_ == Kind::kTorn || kind_ == Kind::kShort) ? Verdict::kHalf
                                                                     : Verdict::kWhole;
  }

  // After the first half of a write.
  void Half() const {
    if (kind_ == Kind::kTorn) syscall(SYS_exit_group, kKilled);
  }

 private:
  // A line of fields, then the bytes.
  void Record(const Operation& operation) const {
    if (journal_ < 0) return;
    std::string text = std::string(operation.name) + '\t' + operation.path + '\t' +
                       operation.other + '\t' + std::to_string(operation.offset) + '\t' +
                       std::to_string(operation.bytes.size()) + '\n';
    text += operation.bytes;
    if (syscall(SYS_write, journal_, text.data(), text.size()) != static_cast<long>(text.size())) {
      std::abort();
    }
  }

  std::string dir_;
  long at_, count_ = 0;
  Kind kind_;
  int journal_ = -1;
  bool full_ = false;  // kNoSpace has happened
  std::mutex mutex_;
};

Faults& TheFaults() {
  static Faults faults;
  return faults;
}

std::string LinkOf(int fd) {
  std::array<char, PATH_MAX> path{};
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const long n = syscall(SYS_readlinkat, AT_FDCWD, link.c_str(), path.data(), path.size() - 1);
  return {path.data(), static_cast<size_t>(n < 0 ? 0 : n)};
}

// The absolute path of `name` at a folder's descriptor.
std::string PathAt(int folder, const char* name) {
  if (name[0] == '/') return name;
  std::string base;
  if (folder == AT_FDCWD) {
    std::array<char, PATH_MAX> here{};
    base = getcwd(here.data(), here.size()) == nullptr ? "" : here.data();
  } else {
    base = LinkOf(folder);
  }
  return base + "/" + name;
}

Verdict Ask(const Operation& operation) {
  if (!TheFaults().Covers(operation.path)) return Verdict::kWhole;
  return TheFaults().Before(operation);
}

// The place of a write: a file opened for appending is written at its end.
long OffsetOf(int fd) {
  struct stat info {};
  const bool appends = (fcntl(fd, F_GETFL) & O_APPEND) != 0;
  if (appends && fstat(fd, &info) == 0) return static_cast<long>(info.st_size);
  return syscall(SYS_lseek, fd, 0L, SEEK_CUR);
}

int Open(int folder, const char* name, int flags, mode_t mode) {
  if ((flags & (O_CREAT | O_TRUNC)) != 0) {
    const bool cuts = (flags & O_TRUNC) != 0;
    const Operation create = {
        .name = cuts ? "create" : "touch", .path = PathAt(folder, name), .takes_space = true};
    if (Ask(create) == Verdict::kFail) return -1;
  }
  return static_cast<int>(syscall(SYS_openat, folder, name, flags, mode));
}

mode_t ModeOf(int flags, va_list more) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
}

int Sync(int fd, long call) {
  if (Ask({.name = "sync", .path = LinkOf(fd)}) == Verdict::kFail) return -1;
  return static_cast<int>(syscall(call, fd));
}

}  // namespace

// NOLINTBEGIN(cert-dcl50-cpp): the C library's own signatures
extern "C" {

ssize_t write(int fd, const void* data, size_t size) {
  const std::string path = LinkOf(fd);
  if (!TheFaults().Covers(path)) return syscall(SYS_write, fd, data, size);
  const Verdict verdict = Ask({.name = "write",
                               .path = path,
                               .offset = OffsetOf(fd),
                               .bytes = {static_cast<const char*>(data), size},
                               .takes_space = true});
  if (verdict == Verdict::kFail) return -1;
  const ssize_t done = syscall(SYS_write, fd, data, verdict == Verdict::kHalf ? size / 2 : size);
  if (verdict == Verdict::kHalf) TheFaults().Half();
  return done;
}

ssize_t pwrite(int fd, const void* data, size_t size, off_t offset) {
  const std::string path = LinkOf(fd);
  if (!TheFaults().Covers(path)) return syscall(SYS_pwrite64, fd, data, size, offset);
  const Verdict verdict = Ask({.name = "write",
                               .path = path,
                               .offset = offset,
                               .bytes = {static_cast<const char*>(data), size},
                               .takes_space = true});
  if (verdict == Verdict::kFail) return -1;
  if (verdict == Verdict::kHalf) size /= 2;
  const ssize_t done = syscall(SYS_pwrite64, fd, data, size, offset);
  if (verdict == Verdict::kHalf) TheFaults().Half();
  return done;
}
ssize_t pwrite64(int fd, const void* data, size_t size, off_t offset) {
  return pwrite(fd, data, size, offset);
}

int open(const char* name, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = ModeOf(flags, more);
  va_end(more);
  return Open(AT_FDCWD, name, flags, mode);
}
int open64(const char* name, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = ModeOf(flags, more);
  va_end(more);
  return Open(AT_FDCWD, name, flags, mode);
}
int openat(int folder, const char* name, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = ModeOf(flags, more);
  va_end(more);
  return Open(folder, name, flags, mode);
}
int openat64(int folder, const char* name, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = ModeOf(flags, more);
  va_end(more);
  return Open(folder, name, flags, mode);
}

int fsync(int fd) { return Sync(fd, SYS_fsync); }
int fdatasync(int fd) { return Sync(fd, SYS_fdatasync); }

int rename(const char* from, const char* to) {
  const Operation operation = {
      .name = "rename", .path = PathAt(AT_FDCWD, from), .other = PathAt(AT_FDCWD, to)};
  if (Ask(operation) == Verdict::kFail) return -1;
  return static_cast<int>(syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0));
}

int unlinkat(int folder, const char* name, int flags) {
  if (Ask({.name = "remove", .path = PathAt(folder, name)}) == Verdict::kFail) return -1;
  return static_cast<int>(syscall(SYS_unlinkat, folder, name, flags));
}
int unlink(const char* name) { return unlinkat(AT_FDCWD, name, 0); }
int rmdir(const char* name) { return unlinkat(AT_FDCWD, name, AT_REMOVEDIR); }
int remove(const char* name) {
  struct stat info {};
  if (lstat(name, &info) != 0) return -1;
  return unlinkat(AT_FDCWD, name, S_ISDIR(info.st_mode) ? AT_REMOVEDIR : 0);
}

int mkdir(const char* name, mode_t mode) {
  const Operation operation = {
      .name = "mkdir", .path = PathAt(AT_FDCWD, name), .takes_space = true};
  if (Ask(operation) == Verdict::kFail) return -1;
  return static_cast<int>(syscall(SYS_mkdirat, AT_FDCWD, name, mode));
}

int ftruncate(int fd, off_t size) {
  if (Ask({.name = "truncate", .path = LinkOf(fd), .offset = size}) == Verdict::kFail) return -1;
  return static_cast<int>(syscall(SYS_ftruncate, fd, size));
}
int ftruncate64(int fd, off_t size) { return ftruncate(fd, size); }

}  // extern "C"
// NOLINTEND(cert-dcl50-cpp)
