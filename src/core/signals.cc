#include "core/signals.h"

#include <unistd.h>

#include <atomic>
#include <csignal>

namespace lorikeet {
namespace {

std::atomic<int> stop_signal{0};
static_assert(std::atomic<int>::is_always_lock_free,
              "a signal handler may touch only lock-free atomics");

constexpr int kExitCodeBase = 128;  // shells report a program ended by signal N as 128 + N

extern "C" void OnStopSignal(int signal_number) {
  int none = 0;
  if (stop_signal.compare_exchange_strong(none, signal_number)) return;
  // A terminal that closes sends SIGHUP, and its shell sends it again.
  if (signal_number != SIGHUP) _exit(kExitCodeBase + signal_number);
}

}  // namespace

void InstallStopHandlers() {
  struct sigaction action {};
  action.sa_handler = OnStopSignal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  struct sigaction hangup {};
  sigaction(SIGHUP, nullptr, &hangup);
  if (hangup.sa_handler != SIG_IGN) sigaction(SIGHUP, &action, nullptr);
}

bool StopRequested() { return stop_signal.load(std::memory_order_relaxed) != 0; }

int StopExitCode() {
  const int signal_number = stop_signal.load();
  return signal_number == 0 ? 0 : kExitCodeBase + signal_number;
}

void ClearStopRequest() { stop_signal.store(0); }

}  // namespace lorikeet
