#include "core/folder_lock.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "core/error.h"

namespace lorikeet {
namespace {

int OpenLockFile(const std::string& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) Fail(ErrorCode::kIo, "{}: cannot create: {}", path, std::strerror(errno));
  return fd;
}

// Whether `path` still names the open file: its last holder may have removed it.
bool IsStill(int fd, const std::string& path) {
  struct stat open_file {
  }, named{};
  return fstat(fd, &open_file) == 0 && stat(path.c_str(), &named) == 0 &&
         open_file.st_ino == named.st_ino && open_file.st_dev == named.st_dev;
}

std::string ReadHolder(int fd) {
  std::array<char, 32> text{};
  const ssize_t got = pread(fd, text.data(), text.size(), 0);
  std::string_view id(text.data(), static_cast<size_t>(std::max<ssize_t>(got, 0)));
  id = id.substr(0, id.find('\n'));
  const bool number = !id.empty() && id.find_first_not_of("0123456789") == std::string_view::npos;
  if (!number) return "another process";
  id.remove_prefix(std::min(id.find_first_not_of('0'), id.size()));
  return fmt::format("process {}", id);
}

// Only for messages, so failing to write it is no error.
void WriteHolder(int fd) {
  const std::string id = fmt::format("{:010}\n", getpid());  // as long as the one before it
  if (pwrite(fd, id.data(), id.size(), 0) < 0) return;
}

}  // namespace

FolderLock::FolderLock(const std::string& dir, After after)
    : path_(dir + "/lock"), remove_(after == After::kRemove) {
  while (!Try()) {
  }
}

// False: the file was removed meanwhile by its last holder.
bool FolderLock::Try() {
  fd_ = OpenLockFile(path_);
  const bool refused = flock(fd_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  if (refused) {
    holder_ = ReadHolder(fd_);
    return true;
  }
  if (!IsStill(fd_, path_)) {
    close(fd_);
    return false;
  }
  held_ = true;
  WriteHolder(fd_);
  return true;
}

FolderLock::~FolderLock() {
  if (held_ && remove_) unlink(path_.c_str());  // before others can take it
  if (fd_ >= 0) close(fd_);
}

FolderLock::FolderLock(FolderLock&& other) noexcept
    : path_(std::move(other.path_)),
      holder_(std::move(other.holder_)),
      fd_(std::exchange(other.fd_, -1)),
      held_(std::exchange(other.held_, false)),
      remove_(other.remove_) {}

FolderLock& FolderLock::operator=(FolderLock&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(holder_, other.holder_);
  std::swap(fd_, other.fd_);
  std::swap(held_, other.held_);
  std::swap(remove_, other.remove_);
  return *this;
}

WaitingLock::WaitingLock(const std::string& path) : fd_(OpenLockFile(path)) {
  while (flock(fd_, LOCK_EX) != 0 && errno == EINTR) {
  }
}

WaitingLock::~WaitingLock() { close(fd_); }

}  // namespace lorikeet
