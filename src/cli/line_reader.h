// A `LineReader` reads lines from a file descriptor and reacts to Ctrl-C and SIGTERM while it
// waits.
#pragma once
#include <cstdint>
#include <string>

namespace lorikeet {

class LineReader {
 public:
  explicit LineReader(int fd) : fd_(fd) {}

  enum class Status : uint8_t {
    kLine,
    kEnd,          // end of the input; a last line without a newline counts as a line
    kInterrupted,  // StopRequested()
  };
  // Sets `line`, without its newline. Throws Error if reading fails.
  Status Read(std::string* line);

 private:
  bool TakeLine(std::string* line);

  int fd_;
  std::string buffer_;
  bool ended_ = false;
};

}  // namespace lorikeet
