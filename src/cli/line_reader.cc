#include "cli/line_reader.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/error.h"
#include "core/signals.h"

namespace lorikeet {

bool LineReader::TakeLine(std::string* line) {
  const size_t newline = buffer_.find('\n');
  if (newline == std::string::npos && (!ended_ || buffer_.empty())) return false;
  *line = buffer_.substr(0, newline);
  buffer_.erase(0, newline == std::string::npos ? newline : newline + 1);
  if (line->ends_with('\r')) line->pop_back();
  return true;
}

LineReader::Status LineReader::Read(std::string* line) {
  while (true) {
    if (StopRequested()) return Status::kInterrupted;
    if (TakeLine(line)) return Status::kLine;
    if (ended_) return Status::kEnd;
    // poll, unlike read, is interrupted by a signal; its timeout covers one that came just before.
    pollfd ready{.fd = fd_, .events = POLLIN, .revents = 0};
    constexpr int kMilliseconds = 200;
    if (poll(&ready, 1, kMilliseconds) <= 0) continue;
    char bytes[4096];
    const ssize_t n = read(fd_, bytes, sizeof(bytes));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) Fail(ErrorCode::kIo, "cannot read the input: {}", std::strerror(errno));
    if (n == 0) ended_ = true;
    buffer_.append(bytes, static_cast<size_t>(n));
  }
}

}  // namespace lorikeet
