// Yield points: places in long computations where the thread may let other work go first, such as
// a server's sampling between two layers of a training step. Results do not depend on them.
#pragma once
#include <cstdint>
#include <functional>

namespace lorikeet {

enum class Yield : uint8_t {
  kMicroBatch,  // between two passes: the workspace is empty
  kLayer,       // within a pass, between layers or chunks of rows
};

// Calls what the thread's YieldScope holds; without one it does nothing.
void YieldPoint(Yield kind);

// While it exists, the yield points of this thread call `let_others`, which must not throw. Scopes
// may be nested: then only the innermost one is called.
class YieldScope {
 public:
  explicit YieldScope(std::function<void(Yield)> let_others);
  ~YieldScope();
  YieldScope(const YieldScope&) = delete;
  YieldScope& operator=(const YieldScope&) = delete;

 private:
  std::function<void(Yield)> let_others_;
  const std::function<void(Yield)>* outer_;
};

}  // namespace lorikeet
