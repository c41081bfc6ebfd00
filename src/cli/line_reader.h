// Lines from a descriptor, with Ctrl-C and SIGTERM noticed while nothing is typed.
#pragma once
#include <cstdint>
#include <string>

namespace lorikeet {

class LineReader {
 public:
  explicit LineReader(int fd) : fd_(fd) {}

  enum class Status : uint8_t {
    kLine,
    kEnd,          // of the input; a last line without a newline counts as a line
    kInterrupted,  // StopRequested()
  };
  // `line` without its newline. Throws Error when reading fails.
  Status Read(std::string* line);

 private:
  bool TakeLine(std::string* line);

  int fd_;
  std::string buffer_;
  bool ended_ = false;
};

}  // namespace lorikeet
