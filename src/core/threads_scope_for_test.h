// For tests: a number of threads for as long as the object lives.
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
