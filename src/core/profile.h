// `Profile` sums the wall time of a step by named parts, as the kernels (kernels/trace.h) of the
// thread that enabled it add them. Off by default.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/dry.h"

namespace lorikeet {

class Profile {
 public:
  struct Part {
    std::string name;
    int64_t calls = 0;
    double seconds = 0;
  };
  static void Enable(bool on) {
    trace_flags = static_cast<uint8_t>(on ? trace_flags | kTraceTime : trace_flags & ~kTraceTime);
  }
  static void Reset();
  static std::vector<Part> Parts();  // in descending order of time
  static void Add(const char* name, double seconds);
};

}  // namespace lorikeet
