#include "verify/rewards/child.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <thread>

#include "core/check.h"
#include "core/error.h"

extern char**
    environ;  // NOLINT(readability-redundant-declaration): POSIX has the program declare it

namespace lorikeet {
namespace {

constexpr size_t kMaxLine = size_t{64} << 20;  // bytes of a reply
constexpr size_t kChunk = size_t{64} << 10;

struct Pipe {
  int read = -1, write = -1;
};

Pipe MakePipe() {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) {
    Fail(ErrorCode::kIo, "no pipe for a reward command: {}", std::strerror(errno));
  }
  return {ends[0], ends[1]};
}

void SetNonBlocking(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

// A write to a pipe without a reader must fail, not end this program. The signal is blocked in this
// thread only and consumed; its handling in the rest of the program does not change.
class WithoutSigpipe {
 public:
  WithoutSigpipe() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    sigset_t pending;
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~WithoutSigpipe() {
    const timespec now{};
    if (!was_pending_) {
      while (sigtimedwait(&pipe_, nullptr, &now) == -1 && errno == EINTR) {
      }
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  WithoutSigpipe(const WithoutSigpipe&) = delete;
  WithoutSigpipe& operator=(const WithoutSigpipe&) = delete;

 private:
  sigset_t pipe_{}, before_{};
  bool was_pending_ = false;
};

// Starts `sh -c command` in its own process group, without blocked signals, with the default
// handlers. argument: $0 of the command.
int Spawn(const std::string& command, const std::string& argument, int stdin_fd, int stdout_fd,
          pid_t* pid) {
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, stdin_fd, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&files, stdout_fd, STDOUT_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, usual;
  sigemptyset(&none);
  sigemptyset(&usual);
  for (const int signal : {SIGINT, SIGTERM, SIGPIPE, SIGXFSZ}) sigaddset(&usual, signal);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &usual);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  std::string sh = "sh", option = "-c", text = command, zero = argument;
  std::array<char*, 5> arguments = {sh.data(), option.data(), text.data(),
                                    zero.empty() ? nullptr : zero.data(), nullptr};
  const int error = posix_spawn(pid, "/bin/sh", &files, &attributes, arguments.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  return error;
}

std::string HowItEnded(int status) {
  if (WIFEXITED(status)) return fmt::format("status {}", WEXITSTATUS(status));
  return fmt::format("signal {}", WTERMSIG(status));
}

}  // namespace

void ChildProcess::Start(const std::string& command) {
  CHECK(!running());
  const Pipe in = MakePipe(), out = MakePipe();
  const int error = Spawn(command, "", in.read, out.write, &pid_);
  close(in.read);
  close(out.write);
  input_ = in.write;
  output_ = out.read;
  if (error != 0) {
    pid_ = 0;
    CloseInput();
    CloseOutput();
    Fail(ErrorCode::kIo, "the reward command cannot be started: {}", std::strerror(error));
  }
  SetNonBlocking(input_);
  SetNonBlocking(output_);
  buffer_.clear();
  StartGuard();
}

// A process that waits for a line. If there is none to come, this program is gone without having
// ended the child's group, and it does that. (PR_SET_PDEATHSIG would end only the shell of a
// command, and already when the thread that started it ends.) Without it all else works, so failing
// to start it is no error.
void ChildProcess::StartGuard() {
  const std::string script =
      "trap '' TERM INT HUP; exec 2>/dev/null; read -r line && exit; kill -s TERM -- -$0; "
      "sleep 1; kill -s KILL -- -$0";
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return;
  const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (Spawn(script, std::to_string(pid_), ends[0], nowhere, &guard_) != 0) guard_ = 0;
  if (nowhere >= 0) close(nowhere);
  close(ends[0]);
  guard_input_ = ends[1];
}

void ChildProcess::EndGuard() {
  if (guard_ > 0) {
    const WithoutSigpipe quiet;
    const bool told = write(guard_input_, "\n", 1) == 1;
    if (!told) kill(guard_, SIGKILL);
    while (waitpid(guard_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  if (guard_input_ >= 0) close(guard_input_);
  guard_ = 0;
  guard_input_ = -1;
}

ChildProcess::Event ChildProcess::Exchange(std::string_view text,
                                           const std::function<bool(std::string_view)>& on_line,
                                           Clock::time_point deadline,
                                           const std::function<bool()>& stop) {
  if (TakeLines(0, on_line) == State::kEnough) return Event::kDone;
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) return Event::kTimeout;
    if (stop && stop()) return Event::kStopped;
    std::array<pollfd, 2> ends = {
        {{.fd = output_, .events = POLLIN}, {.fd = text.empty() ? -1 : input_, .events = POLLOUT}}};
    constexpr int64_t kMaxWait = 200;  // milliseconds until it is asked again whether to stop
    const int ready =
        poll(ends.data(), ends.size(), static_cast<int>(std::min(left.count(), kMaxWait)));
    if (ready <= 0) continue;  // nothing yet, or a signal
    if (ends[1].revents != 0 && !Write(text)) CloseInput();
    if (input_ < 0) text = {};
    if (ends[0].revents == 0) continue;
    const State state = Read(on_line);
    if (state == State::kEnough) return Event::kDone;
    if (state == State::kClosed) return Event::kEnded;
  }
}

// Removes the written part from `text`; false if the pipe has no reader.
bool ChildProcess::Write(std::string_view& text) const {
  const WithoutSigpipe guard;
  while (!text.empty()) {
    const ssize_t written = write(input_, text.data(), text.size());
    if (written < 0) return errno == EAGAIN || errno == EINTR;
    text.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

ChildProcess::State ChildProcess::Read(const std::function<bool(std::string_view)>& on_line) {
  const size_t before = buffer_.size();
  buffer_.resize(before + kChunk);
  const ssize_t got = read(output_, buffer_.data() + before, kChunk);
  buffer_.resize(before + static_cast<size_t>(std::max<ssize_t>(got, 0)));
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return State::kMore;
  const State state = TakeLines(before, on_line);
  if (state == State::kEnough) return state;
  if (got > 0 && buffer_.size() <= kMaxLine) return State::kMore;
  // The last line may not have an end of line.
  if (got == 0 && !buffer_.empty() && !on_line(buffer_)) return State::kEnough;
  return State::kClosed;
}

// Takes the lines of the buffer, whose first `searched` bytes have no end of line.
ChildProcess::State ChildProcess::TakeLines(size_t searched,
                                            const std::function<bool(std::string_view)>& on_line) {
  size_t begin = 0;
  bool more = true;
  while (more) {
    const size_t end = buffer_.find('\n', std::max(begin, searched));
    if (end == std::string::npos) break;
    more = on_line(std::string_view(buffer_).substr(begin, end - begin));
    begin = end + 1;
  }
  buffer_.erase(0, begin);
  return more ? State::kMore : State::kEnough;
}

// Whether it ends in time. It stays a zombie, so that its group's number is not reused.
bool ChildProcess::WaitFor(Clock::duration patience) const {
  const Clock::time_point deadline = Clock::now() + patience;
  for (;;) {
    siginfo_t info{};
    const int result = waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT);
    if (result == 0 && info.si_pid == pid_) return true;
    if (result != 0 && errno != EINTR) return true;  // it was waited for elsewhere
    if (Clock::now() >= deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

std::string ChildProcess::Stop(Clock::duration patience) {
  if (!running()) return {};
  CloseInput();
  if (!WaitFor(patience)) {
    kill(-pid_, SIGTERM);
    WaitFor(patience);
  }
  CloseOutput();
  kill(-pid_, SIGKILL);  // the rest of the group
  EndGuard();            // before its number can be another's
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = 0;
  return HowItEnded(status);
}

void ChildProcess::CloseInput() {
  if (input_ >= 0) close(input_);
  input_ = -1;
}

void ChildProcess::CloseOutput() {
  if (output_ >= 0) close(output_);
  output_ = -1;
}

}  // namespace lorikeet
