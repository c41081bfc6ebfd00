#include "core/bus_error.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace lorikeet {
namespace {

// A place of a table that the handler may read at any time. Files beyond its size are not named.
struct Mapping {
  std::atomic<uintptr_t> begin{0};  // 0: free
  std::atomic<size_t> bytes{0};
  std::atomic<char*> path{nullptr};
};
constexpr size_t kMaxMappings = 4096;
std::array<Mapping, kMaxMappings> mappings;

constexpr uintptr_t kTaken = 1;  // no mapping begins there

void Say(std::string_view text) {
  if (write(STDERR_FILENO, text.data(), text.size()) < 0) return;
}

extern "C" void OnBusError(int /*signal_number*/, siginfo_t* info, void* /*context*/) {
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  Say("lorikeet: error: ");
  bool named = false;
  for (const Mapping& mapping : mappings) {
    const uintptr_t begin = mapping.begin;
    const char* path = mapping.path;
    if (begin <= kTaken || path == nullptr || address < begin) continue;
    if (address - begin >= mapping.bytes) continue;
    Say(path);
    named = true;
    break;
  }
  Say(named ? "" : "a mapped file");
  Say(": cannot be read any more: it was cut short while in use, or its disk has an error; put it "
      "back and resume\n");
  _exit(1);
}

}  // namespace

void InstallBusErrorHandler() {
  struct sigaction action {};
  action.sa_sigaction = OnBusError;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGBUS, &action, nullptr);
}

void AddMapping(const void* begin, size_t bytes, const std::string& path) {
  for (Mapping& mapping : mappings) {
    uintptr_t free = 0;
    if (!mapping.begin.compare_exchange_strong(free, kTaken)) continue;
    mapping.path = strdup(path.c_str());
    mapping.bytes = bytes;
    mapping.begin = reinterpret_cast<uintptr_t>(begin);
    return;
  }
}

void RemoveMapping(const void* begin) {
  for (Mapping& mapping : mappings) {
    auto expected = reinterpret_cast<uintptr_t>(begin);
    if (!mapping.begin.compare_exchange_strong(expected, kTaken)) continue;
    mapping.bytes = 0;
    std::free(mapping.path.exchange(nullptr));
    mapping.begin = 0;
    return;
  }
}

}  // namespace lorikeet
