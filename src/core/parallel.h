// Parallel loops of one OpenMP team. Work is divided by index, and no result may depend on the
// number of threads.
#pragma once
#include <omp.h>

#include <cstdint>

namespace lorikeet {

inline int NumThreads() { return omp_get_max_threads(); }
inline void SetNumThreads(int threads) { omp_set_num_threads(threads); }

// Calls fn(begin, end) on contiguous ranges of [0, n), one per thread; serial when n < grain.
template <class Fn>
void ParallelRanges(int64_t n, int64_t grain, const Fn& fn) {
  const int64_t max = grain > 0 ? n / grain : n;
  const int threads = static_cast<int>(max < NumThreads() ? (max < 1 ? 1 : max) : NumThreads());
  if (threads == 1 || omp_in_parallel() != 0) {
    if (n > 0) fn(int64_t{0}, n);
    return;
  }
#pragma omp parallel num_threads(threads)
  {
    const int64_t t = omp_get_thread_num(), count = omp_get_num_threads();
    const int64_t begin = n * t / count, end = n * (t + 1) / count;
    if (begin < end) fn(begin, end);
  }
}

// Calls fn(i) for every i in [0, n), scheduled one by one: for items of unequal cost.
template <class Fn>
void ParallelDynamic(int64_t n, const Fn& fn) {
  if (n == 1 || NumThreads() == 1 || omp_in_parallel() != 0) {
    for (int64_t i = 0; i < n; ++i) fn(i);
    return;
  }
#pragma omp parallel for schedule(dynamic, 1)
  for (int64_t i = 0; i < n; ++i) fn(i);
}

}  // namespace lorikeet
