// A `BlobWriter` writes the content of a stored file, which appears whole or not at all; a `Blob`
// is one open for reading. Paths are made of ids alone.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace lorikeet {

// Content and checksum go to FOLDER/ID.tmp piece by piece; Finish() renames it to FOLDER/ID. For
// one thread at a time. All throw Error(kIo) naming the path.
class BlobWriter {
 public:
  // `folder` must exist. Makes a new id.
  explicit BlobWriter(const std::string& folder);
  ~BlobWriter();  // removes what was not finished
  BlobWriter(BlobWriter&& other) noexcept;
  BlobWriter& operator=(BlobWriter&& other) noexcept;

  void Write(std::string_view piece);
  // The content is then on disk under its final name.
  void Finish();

  const std::string& id() const { return id_; }
  int64_t bytes() const { return bytes_; }
  uint32_t crc32c() const { return crc32c_; }

 private:
  std::string folder_, id_;
  int fd_ = -1;
  int64_t bytes_ = 0;
  uint32_t crc32c_ = 0;
};

class Blob {
 public:
  // Throws Error(kNotFound) if `id` is not the id of a file or the file does not exist, kIo if it
  // cannot be opened. A symbolic link or anything but a regular file counts as missing.
  Blob(const std::string& folder, std::string_view id);
  ~Blob();
  Blob(Blob&& other) noexcept;
  Blob& operator=(Blob&& other) noexcept;

  int64_t bytes() const { return bytes_; }
  int fd() const { return fd_; }  // for sendfile and the like
  // Reads up to `bytes` bytes at `offset`; returns their number, less only at the end. Any number
  // of threads. Throws Error(kIo).
  size_t ReadAt(int64_t offset, void* to, size_t bytes) const;

 private:
  std::string path_;
  int fd_ = -1;
  int64_t bytes_ = 0;
};

// FOLDER/ID. Throws Error(kNotFound) unless `id` has the form of a file's id.
std::string BlobPath(const std::string& folder, std::string_view id);

}  // namespace lorikeet
