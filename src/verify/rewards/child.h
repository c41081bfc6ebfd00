// A `ChildProcess` is a child process with pipes to its stdin and from its stdout.
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
  enum class Event : uint8_t { kDone, kTimeout, kEnded, kStopped };

  ChildProcess() = default;
  ~ChildProcess() { Stop(kPatience); }
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // Runs `command` by /bin/sh -c in its own process group: Ctrl-C at the terminal does not reach
  // it. It shares our stderr. If this process dies, a second one, the guard, ends that group.
  // Throws Error(kIo) if no process can be created.
  void Start(const std::string& command);
  bool running() const { return pid_ > 0; }

  // Writes `text` and reads at the same time, so that neither side blocks on full pipes. on_line
  // gets every line without its end and returns whether to continue. kStopped: `stop`, which may be
  // empty, returned true.
  Event Exchange(std::string_view text, const std::function<bool(std::string_view)>& on_line,
                 Clock::time_point deadline, const std::function<bool()>& stop = {});

  // Closes its stdin, waits for `patience`, then sends SIGTERM, waits again, then SIGKILL, to its
  // whole group. Returns "status 3" or "signal 9"; empty if it was not running.
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
  void StartGuard();
  void EndGuard();

  pid_t pid_ = 0, guard_ = 0;
  int guard_input_ = -1;          // our end of its stdin: that it closes tells it that we are gone
  int input_ = -1, output_ = -1;  // our ends of its stdin and stdout
  std::string buffer_;            // an incomplete line
};

}  // namespace lorikeet
