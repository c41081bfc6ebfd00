// A clock for durations.
#pragma once
#include <chrono>

namespace lorikeet {

// Seconds of a steady clock, since a moment that is the same for the whole process.
inline double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace lorikeet
