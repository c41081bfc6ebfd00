#include "serve/state/blob.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "core/checksum.h"
#include "core/error.h"
#include "core/file.h"
#include "core/text.h"
#include "serve/state/ids.h"

namespace lorikeet {
namespace {

[[noreturn]] void FailMissing(std::string_view id) {
  Fail(ErrorCode::kNotFound, "file {}: does not exist; list the files for their ids", Quoted(id));
}

}  // namespace

std::string BlobPath(const std::string& folder, std::string_view id) {
  if (!IsId(IdKind::kFile, id)) FailMissing(id);
  return folder + "/" + std::string(id);
}

BlobWriter::BlobWriter(const std::string& folder) : folder_(folder), id_(NewId(IdKind::kFile)) {
  const std::string path = BlobPath(folder_, id_) + ".tmp";
  fd_ = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd_ < 0) Fail(ErrorCode::kIo, "{}: cannot create: {}", path, std::strerror(errno));
}

BlobWriter::~BlobWriter() {
  if (fd_ < 0) return;
  close(fd_);
  unlink((BlobPath(folder_, id_) + ".tmp").c_str());
}

BlobWriter::BlobWriter(BlobWriter&& other) noexcept
    : folder_(std::move(other.folder_)),
      id_(std::move(other.id_)),
      fd_(std::exchange(other.fd_, -1)),
      bytes_(other.bytes_),
      crc32c_(other.crc32c_) {}

BlobWriter& BlobWriter::operator=(BlobWriter&& other) noexcept {
  std::swap(folder_, other.folder_);
  std::swap(id_, other.id_);
  std::swap(fd_, other.fd_);
  std::swap(bytes_, other.bytes_);
  std::swap(crc32c_, other.crc32c_);
  return *this;
}

void BlobWriter::Write(std::string_view piece) {
  WriteAll(fd_, piece.data(), piece.size(), BlobPath(folder_, id_) + ".tmp");
  crc32c_ = Crc32c(piece.data(), piece.size(), crc32c_);
  bytes_ += static_cast<int64_t>(piece.size());
}

void BlobWriter::Finish() {
  const std::string path = BlobPath(folder_, id_), tmp = path + ".tmp";
  if (fsync(fd_) != 0) Fail(ErrorCode::kIo, "{}: cannot sync: {}", tmp, std::strerror(errno));
  if (std::rename(tmp.c_str(), path.c_str()) != 0) {
    Fail(ErrorCode::kIo, "{}: cannot rename into place: {}", path, std::strerror(errno));
  }
  close(std::exchange(fd_, -1));
  SyncPath(folder_);
}

Blob::Blob(const std::string& folder, std::string_view id) : path_(BlobPath(folder, id)) {
  // O_NONBLOCK: opening a pipe would wait for its writer.
  fd_ = open(path_.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  const int error = errno;
  if (fd_ < 0 && (error == ENOENT || error == ELOOP)) FailMissing(id);
  if (fd_ < 0) Fail(ErrorCode::kIo, "{}: cannot open: {}", path_, std::strerror(error));
  struct stat info {};
  if (fstat(fd_, &info) != 0 || !S_ISREG(info.st_mode)) {
    close(fd_);
    FailMissing(id);
  }
  bytes_ = info.st_size;
}

Blob::~Blob() {
  if (fd_ >= 0) close(fd_);
}

Blob::Blob(Blob&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)), bytes_(other.bytes_) {}

Blob& Blob::operator=(Blob&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

size_t Blob::ReadAt(int64_t offset, void* to, size_t bytes) const {
  size_t done = 0;
  while (done < bytes) {
    const ssize_t got = pread(fd_, static_cast<char*>(to) + done, bytes - done,
                              offset + static_cast<int64_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) Fail(ErrorCode::kIo, "{}: cannot read: {}", path_, std::strerror(errno));
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  return done;
}

}  // namespace lorikeet
