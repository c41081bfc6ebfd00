// Removal of folders that a kill or a power cut never leaves half done, and of what is unfinished.
#pragma once
#include <string>
#include <utility>

namespace lorikeet {

// Renames a folder to DIR.tmp, then deletes that: DIR is whole or gone, even after a power cut.
// Returns false if that failed; DIR or DIR.tmp is then left.
bool RemoveFolderAtomically(const std::string& dir);

// An `Unfinished` is a file or folder that is removed with the object, unless it was finished. For
// what an exception would leave behind.
class Unfinished {
 public:
  explicit Unfinished(std::string path) : path_(std::move(path)) {}
  ~Unfinished();
  Unfinished(const Unfinished&) = delete;
  Unfinished& operator=(const Unfinished&) = delete;
  const std::string& path() const { return path_; }
  void Finished() { path_.clear(); }

 private:
  std::string path_;
};

}  // namespace lorikeet
