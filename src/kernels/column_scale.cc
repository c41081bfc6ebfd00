#include "kernels/column_scale.h"

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <vector>

#include "core/check.h"
#include "core/float16.h"
#include "core/parallel.h"
#include "kernels/trace.h"

namespace lorikeet {
namespace {

constexpr int64_t kGrain = 1 << 14;  // elements for which a thread is worth waking

int64_t Grain(int64_t width) { return std::max<int64_t>(1, kGrain / std::max<int64_t>(width, 1)); }

template <class From, class To>
void ScaleRows(const Tensor& x, const float* factors, const Tensor& y, bool accumulate) {
  const int64_t N = x.cols();
  ParallelRanges(x.rows(), Grain(N), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const From* from = x.as<From>() + t * N;
      To* to = y.as<To>() + t * N;
      if constexpr (std::is_same_v<To, float>) {
        for (int64_t n = 0; n < N; ++n) {
          const float value = factors[n] * ToFloat(from[n]);
          to[n] = accumulate ? to[n] + value : value;
        }
      } else {
        for (int64_t n = 0; n < N; ++n) to[n] = FromFloat<To>(factors[n] * ToFloat(from[n]));
      }
    }
  });
}

template <class From>
void ScaleFrom(const Tensor& x, const float* factors, const Tensor& y, bool accumulate) {
  if (y.dtype == DType::kF32) return ScaleRows<From, float>(x, factors, y, accumulate);
  ScaleRows<From, bfloat16>(x, factors, y, accumulate);
}

// Columns [begin, end), row after row.
template <class C>
void DotColumns(const Tensor& dy, const Tensor& x, const float* factors, float* sums, int64_t begin,
                int64_t end) {
  const int64_t N = dy.cols(), n = end - begin;
  std::vector<float> dots(static_cast<size_t>(n));
  for (int64_t t = 0; t < dy.rows(); ++t) {
    const C* a = dy.as<C>() + t * N + begin;
    const float* b = x.as<float>() + t * N + begin;
    for (int64_t i = 0; i < n; ++i) dots[static_cast<size_t>(i)] += ToFloat(a[i]) * b[i];
  }
  for (int64_t i = 0; i < n; ++i) {
    sums[begin + i] += factors[begin + i] * dots[static_cast<size_t>(i)];
  }
}

bool IsComputeType(const Tensor& x) {
  return x.rank == 2 && (x.dtype == DType::kF32 || x.dtype == DType::kBF16);
}

}  // namespace

void ScaleColumns(const Tensor& x, const Tensor& factors, const Tensor& y, bool accumulate) {
  const Kernel here(
      [&] {
        return KernelCall{"ScaleColumns",
                          "",
                          {"{} x {}", {x.rows(), x.cols()}},
                          x.size() * (accumulate ? 2 : 1),
                          BytesOf(x, factors, y) + (accumulate ? y.bytes() : 0)};
      },
      [&] {
        return Replay(
            [=](const Relocate& at) { ScaleColumns(at(x), at(factors), at(y), accumulate); });
      });
  CHECK(IsComputeType(x) && IsComputeType(y) && x.rows() == y.rows() && x.cols() == y.cols());
  CHECK(factors.size() == x.cols() && (!accumulate || y.dtype == DType::kF32));
  if (here.dry()) return;
  if (x.dtype == DType::kF32) return ScaleFrom<float>(x, factors.as<float>(), y, accumulate);
  ScaleFrom<bfloat16>(x, factors.as<float>(), y, accumulate);
}

void AddColumnDots(const Tensor& dy, const Tensor& x, const Tensor& factors, const Tensor& sums) {
  const Kernel here(
      [&] {
        return KernelCall{"AddColumnDots",
                          "",
                          {"{} x {}", {x.rows(), x.cols()}},
                          2 * x.size(),
                          BytesOf(dy, x, factors, sums, sums)};
      },
      [&] {
        return Replay(
            [=](const Relocate& at) { AddColumnDots(at(dy), at(x), at(factors), at(sums)); });
      });
  CHECK(IsComputeType(dy) && x.dtype == DType::kF32 && x.rows() == dy.rows() &&
        x.cols() == dy.cols() && factors.size() == x.cols() && sums.size() == x.cols());
  if (here.dry()) return;
  ParallelRanges(x.cols(), Grain(x.rows()), [&](int64_t begin, int64_t end) {
    const auto dots = dy.dtype == DType::kF32 ? DotColumns<float> : DotColumns<bfloat16>;
    dots(dy, x, factors.as<float>(), sums.as<float>(), begin, end);
  });
}

void RowLengths(const Tensor& x, const Tensor& norms) {
  const Kernel here(
      [&] {
        return KernelCall{
            "RowLengths", "", {"{} x {}", {x.rows(), x.cols()}}, 2 * x.size(), BytesOf(x, norms)};
      },
      [&] { return Replay([=](const Relocate& at) { RowLengths(at(x), at(norms)); }); });
  CHECK(x.rank == 2 && norms.size() == x.rows());
  if (here.dry()) return;
  const int64_t K = x.cols();
  ParallelRanges(x.rows(), Grain(K), [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      const float* row = x.as<float>() + n * K;
      double sum = 0;
      for (int64_t k = 0; k < K; ++k) sum += static_cast<double>(row[k]) * row[k];
      norms.as<float>()[n] = static_cast<float>(std::sqrt(sum));
    }
  });
}

}  // namespace lorikeet
