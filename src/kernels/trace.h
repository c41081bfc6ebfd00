// A `Kernel` object is the first line of every kernel: it describes what is computed, what that
// costs and how to run it again. It times the kernel for the profile (core/profile.h), adds it to
// the thread's `Recorder`, and tells whether the run is dry (core/dry.h). Kernels that a kernel
// calls count as its own work. Without a profile or a recorder it costs one test.
//
// FLOPs of a product: two per multiply-add, over the causal half in attention, and nothing else.
// FLOPs of other kernels: one for each addition, multiplication, division, root, exponential and
// comparison per element. Bytes: operands are read once and results written once, each in its
// dtype; a tensor that is added to is read and written. Scratch and repeated reads are not counted.
#pragma once
#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/arena.h"
#include "core/dry.h"
#include "core/tensor.h"

namespace lorikeet {

struct AttentionSequence;
struct Columns;
struct HeadNorm;
struct HeadRope;
struct HeadRows;
struct Routing;
class Relocate;

// Sizes with their format: {"{} x {} of {}", {n, D, T}, ", dw"}.
struct KernelShape {
  const char* format = "";
  std::array<int64_t, 6> sizes{};
  const char* note = "";  // appended

  std::string Text() const;
};

struct KernelCall {
  const char* kernel = "";     // "RmsNormForward", "MatMul NT +="
  const char* part = nullptr;  // in the profile; "": not timed; null: that of the PartScope
  KernelShape shape;
  int64_t flops = 0, bytes = 0;
};

// Sum of the tensors' bytes; empty ones have none.
template <class... Tensors>
int64_t BytesOf(const Tensors&... tensors) {
  return (int64_t{0} + ... + tensors.bytes());
}

// Runs the kernel again on other operands.
using Replay = std::function<void(const Relocate&)>;

class Kernel {
 public:
  // make_call() returns the KernelCall, make_replay() a Replay that owns what it needs, or an empty
  // one. Both are called only when profiling or recording.
  template <class MakeCall>
  explicit Kernel(const MakeCall& make_call) {
    if (trace_flags != 0) [[unlikely]]
      Begin(make_call());
  }
  template <class MakeCall, class MakeReplay>
  Kernel(const MakeCall& make_call, const MakeReplay& make_replay) {
    if (trace_flags == 0) [[likely]]
      return;
    Replay* wanted = Begin(make_call());
    if (wanted != nullptr) *wanted = make_replay();
  }
  ~Kernel() {
    if (entered_) [[unlikely]]
      End();
  }
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;

  // True if the kernel must return at once, with nothing read or written.
  bool dry() const { return DryScope::active(); }

 private:
  Replay* Begin(const KernelCall& call);  // destination of the replay; null: not wanted
  void End() const;

  bool entered_ = false;
  const char* timed_ = nullptr;
  std::chrono::steady_clock::time_point begin_;
};

// A `PartScope` sets the part of the step and the purpose of the kernels in a scope that do not
// know theirs (products). The arguments must outlive it.
class PartScope {
 public:
  PartScope(const char* part, const std::string& module, const char* what) {
    if (trace_flags != 0) [[unlikely]]
      Enter(part, module, what);
  }
  ~PartScope() {
    if (entered_) [[unlikely]]
      Leave();
  }
  PartScope(const PartScope&) = delete;
  PartScope& operator=(const PartScope&) = delete;

 private:
  void Enter(const char* part, const std::string& module, const char* what);
  static void Leave();
  bool entered_ = false;
};

// Calls of one kernel at one shape for one purpose.
struct RecordedCall {
  KernelCall call;                   // its part is set
  const char* what = "";             // "y", "dx", "x A^T"; from a PartScope
  std::vector<std::string> modules;  // last names of the modules it was for: {"q_proj", "k_proj"}
  int64_t count = 0;
  Replay replay;  // empty unless asked for, and where a kernel has none
};

// A `Recorder` collects the kernel calls of this thread while it exists. A thread can have one at a
// time.
class Recorder {
 public:
  explicit Recorder(bool with_replays = false);
  ~Recorder();
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  const std::deque<RecordedCall>& calls() const { return calls_; }  // by first occurrence
  const std::vector<uint32_t>& order() const { return order_; }     // every call, as index of calls

 private:
  friend class Kernel;
  Replay* Add(const KernelCall& call);

  bool with_replays_;
  std::deque<RecordedCall> calls_;
  std::vector<uint32_t> order_;
  std::unordered_multimap<uint64_t, uint32_t> index_;
};

// A `Relocate` gives a replay its operands: fresh memory with random contents in +-0.5, one piece
// for operands that overlap, so that aliases stay aliases. Indices are valid.
class Relocate {
 public:
  // Throws Error(kOutOfMemory) when they take more than is available.
  explicit Relocate(const Replay& replay);
  Relocate(const Relocate&) = delete;
  Relocate& operator=(const Relocate&) = delete;

  Tensor operator()(const Tensor& tensor) const;
  Columns operator()(const Columns& columns) const;
  HeadRows operator()(const HeadRows& rows) const;
  HeadNorm operator()(const HeadNorm& norm) const;
  HeadRope operator()(const HeadRope& rope) const;
  Routing operator()(const Routing& routing) const;
  // `sequences` with new keys and values, for `kv_heads` heads of `head_dim` each.
  std::vector<AttentionSequence> operator()(const std::vector<AttentionSequence>& sequences,
                                            DType dtype, int64_t kv_heads, int64_t head_dim) const;
  // As many random tokens from [0, bound).
  std::span<const int32_t> Tokens(std::span<const int32_t> tokens, int64_t bound) const;
  // As many rows, evenly spread over [0, bound), ascending and distinct.
  std::span<const int32_t> Rows(std::span<const int32_t> rows, int64_t bound) const;

 private:
  struct Piece {
    std::byte* begin;
    std::byte* end;
    DType dtype;
    Buffer memory;
  };
  void* Move(const void* data, DType dtype, int64_t bytes) const;
  void Allocate();

  bool learning_ = true;
  mutable std::vector<Piece> pieces_;
  mutable std::vector<Routing> routings_;
  mutable std::deque<std::vector<int32_t>> indices_;
};

}  // namespace lorikeet
