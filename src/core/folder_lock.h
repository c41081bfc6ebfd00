// A `FolderLock` keeps a folder for one process at a time: a lock on its file "lock", which the
// system releases when the process ends, however it ends.
#pragma once
#include <cstdint>
#include <string>

namespace lorikeet {

class FolderLock {
 public:
  enum class After : uint8_t {
    kRemove,  // the file is removed with the object
    kKeep,
  };
  // Takes the lock if no other process (or object) has it. The folder must exist. Where the file
  // system has no locks it counts as taken. Throws Error(kIo) if the file cannot be created.
  explicit FolderLock(const std::string& dir, After after = After::kRemove);
  ~FolderLock();
  FolderLock(FolderLock&& other) noexcept;
  FolderLock& operator=(FolderLock&& other) noexcept;

  bool held() const { return held_; }
  // The process that has it, for messages: "process 1234"; "another process" if it is not known.
  const std::string& holder() const { return holder_; }

 private:
  bool Try();

  std::string path_, holder_;
  int fd_ = -1;
  bool held_ = false, remove_ = false;
};

// Waits until no other process has the lock on the file `path` and takes it, for as long as the
// object lives. Throws Error(kIo) if the file cannot be created.
class WaitingLock {
 public:
  explicit WaitingLock(const std::string& path);
  ~WaitingLock();
  WaitingLock(const WaitingLock&) = delete;
  WaitingLock& operator=(const WaitingLock&) = delete;

 private:
  int fd_ = -1;
};

}  // namespace lorikeet
