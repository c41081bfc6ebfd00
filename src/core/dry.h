// A dry run computes shapes only: kernels return after their first line (kernels/trace.h), and the
// tensors that are allocated have addresses but no memory behind them.
#pragma once
#include <cstdint>

namespace lorikeet {

// Bits of trace_flags: how kernels on this thread run. All are 0 in ordinary runs.
enum TraceFlag : uint8_t { kTraceDry = 1, kTraceRecord = 2, kTraceTime = 4, kTraceInside = 8 };
inline constinit thread_local uint8_t trace_flags = 0;

// A `DryScope` makes what this thread does until its end a dry run. An `Arena`, `Buffer` or
// `TensorPool` that is made in it stays without memory for good: reading or writing its tensors
// ends the program with SIGSEGV.
class DryScope {
 public:
  DryScope() : within_(active()) { trace_flags |= kTraceDry; }
  ~DryScope() {
    if (!within_) trace_flags &= static_cast<uint8_t>(~kTraceDry);
  }
  DryScope(const DryScope&) = delete;
  DryScope& operator=(const DryScope&) = delete;

  static bool active() { return (trace_flags & kTraceDry) != 0; }

 private:
  bool within_;  // another one
};

}  // namespace lorikeet
