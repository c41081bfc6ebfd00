// A child process and the two pipes to it.
#pragma once
#include <sys/types.h>

#include <chrono>
#include <functional>
#include <string>
#include <string_view>

namespace lorikeet {

class ChildProcess {
 public:
  using Clock = std::chrono::steady_clock;
  enum class Event : uint8_t { kDone, kTimeout, kEnded };

  ChildProcess() = default;
  ~ChildProcess() { Stop(kPatience); }
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // Runs `command` by /bin/sh -c, in a process group of its own: Ctrl-C at the terminal does not
  // reach it. Its stderr is ours. Throws Error(kIo) if no process can be made.
  void Start(const std::string& command);
  bool running() const { return pid_ > 0; }

  // Writes `text` and reads at the same time, so that neither side waits for the other with full
  // pipes. on_line gets every line that came, without its end, and says whether it wants more.
  Event Exchange(std::string_view text, const std::function<bool(std::string_view)>& on_line,
                 Clock::time_point deadline);

  // Closes its stdin, waits for `patience`, then sends SIGTERM, waits again, then SIGKILL, to all
  // of its group. Returns how it ended: "status 3", "signal 9"; empty if it was not running.
  std::string Stop(Clock::duration patience);

  static constexpr std::chrono::milliseconds kPatience{2000};

 private:
  enum class State : uint8_t { kMore, kEnough, kClosed };

  bool Write(std::string_view& text) const;
  State Read(const std::function<bool(std::string_view)>& on_line);
  State TakeLines(size_t searched, const std::function<bool(std::string_view)>& on_line);
  bool WaitFor(Clock::duration patience) const;
  void CloseInput();
  void CloseOutput();

  pid_t pid_ = 0;
  int input_ = -1, output_ = -1;  // our ends of its stdin and stdout
  std::string buffer_;            // the beginning of a line
};

}  // namespace lorikeet
