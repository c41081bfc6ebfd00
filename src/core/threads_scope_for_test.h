// A `ThreadsScope` sets the number of threads for its lifetime, in tests.
#pragma once
#include "core/parallel.h"

namespace lorikeet {

class ThreadsScope {
 public:
  explicit ThreadsScope(int threads) : before_(NumThreads()) { SetNumThreads(threads); }
  ~ThreadsScope() { SetNumThreads(before_); }
  ThreadsScope(const ThreadsScope&) = delete;
  ThreadsScope& operator=(const ThreadsScope&) = delete;

 private:
  int before_;
};

}  // namespace lorikeet
