// Version numbers of values that are cached elsewhere.
#pragma once
#include <atomic>
#include <cstdint>

namespace lorikeet {

// A number that was not returned before in this process; 0 is never returned.
inline uint64_t NextVersion() {
  static std::atomic<uint64_t> last{0};
  return ++last;
}

}  // namespace lorikeet
