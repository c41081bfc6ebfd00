// Test helpers for kernels: tensors without memory to spare, every Highway target of this machine
// in turn, and comparisons.
#pragma once
#include <gtest/gtest.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "core/arena.h"
#include "core/parallel.h"
#include "core/random.h"
#include "core/tensor.h"

namespace lorikeet {

inline std::byte* At(const Buffer& b, int64_t element) {
  return static_cast<std::byte*>(b.tensor().data) + DTypeBytes(b.tensor().dtype, element);
}
// Sets element i. b: f32|bf16.
inline void Put(const Buffer& b, int64_t i, float x) {
  if (b.tensor().dtype == DType::kF32) {
    b.tensor().as<float>()[i] = x;
  } else {
    b.tensor().as<bfloat16>()[i] = ToBfloat16(x);
  }
}

// Uniform in [-1, 1), rounded to the dtype, f32|bf16. The same names give the same values.
inline Buffer RandomMatrix(DType dtype, int64_t rows, int64_t cols, const char* name,
                           const char* test = "matmul_test") {
  Buffer buffer(dtype, {rows, cols});
  const RandomStream stream(1, test, name);
  for (int64_t i = 0; i < rows * cols; ++i) {
    Put(buffer, i, static_cast<float>(2 * stream.Uniform(i) - 1));
  }
  return buffer;
}

// A tensor on the heap that begins off the alignment of vectors and ends where its allocation ends,
// so that a sanitizer detects every access outside.
class TestTensor {
 public:
  TestTensor() = default;
  TestTensor(DType dtype, std::initializer_list<int64_t> shape) : tensor_(nullptr, dtype, shape) {
    const int64_t skip = DTypeBytes(dtype, 1);
    memory_ = std::shared_ptr<std::byte[]>(new std::byte[tensor_.bytes() + skip]());
    tensor_.data = memory_.get() + skip;
  }
  // Uniform in [-range, range), rounded to the dtype; other tensors of `name` have the same values.
  static TestTensor Random(DType dtype, std::initializer_list<int64_t> shape,
                           const std::string& name, double range = 2.0) {
    TestTensor result(dtype, shape);
    const RandomStream random(7, "test", name);
    for (int64_t i = 0; i < result.size(); ++i) {
      result.Set(i, static_cast<float>((2.0 * random.Uniform(i) - 1.0) * range));
    }
    return result;
  }
  TestTensor Copy() const {
    TestTensor copy = *this;
    copy.memory_ = std::shared_ptr<std::byte[]>(new std::byte[bytes() + DTypeBytes(dtype(), 1)]());
    copy.tensor_.data = copy.memory_.get() + DTypeBytes(dtype(), 1);
    std::memcpy(copy.tensor_.data, tensor_.data, bytes());
    return copy;
  }

  operator const Tensor&() const { return tensor_; }  // NOLINT(google-explicit-constructor)
  const Tensor& tensor() const { return tensor_; }
  int64_t size() const { return tensor_.size(); }
  int64_t bytes() const { return tensor_.bytes(); }
  DType dtype() const { return tensor_.dtype; }
  float Get(int64_t i) const {
    if (dtype() == DType::kF32) return tensor_.as<float>()[i];
    return dtype() == DType::kBF16 ? ToFloat(tensor_.as<bfloat16>()[i])
                                   : ToFloat(tensor_.as<float16>()[i]);
  }
  void Set(int64_t i, float x) const {
    if (dtype() == DType::kF32) {
      tensor_.as<float>()[i] = x;
    } else if (dtype() == DType::kBF16) {
      tensor_.as<bfloat16>()[i] = ToBfloat16(x);
    } else {
      tensor_.as<float16>()[i] = ToFloat16(x);
    }
  }
  // Elements [begin, begin + n) as doubles; all of them by default.
  std::vector<double> Values(int64_t begin = 0, int64_t n = -1) const {
    std::vector<double> values(static_cast<size_t>(n < 0 ? size() : n));
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] = Get(begin + static_cast<int64_t>(i));
    }
    return values;
  }
  std::vector<double> RowValues(int64_t r) const {
    const int64_t row = size() / tensor_.rows();
    return Values(r * row, row);
  }

 private:
  std::shared_ptr<std::byte[]> memory_;
  Tensor tensor_;
};

inline bool SameBits(const TestTensor& a, const TestTensor& b) {
  return a.bytes() == b.bytes() && std::memcmp(a.tensor().data, b.tensor().data, a.bytes()) == 0;
}

// The largest difference over the largest magnitude expected. NaN anywhere gives infinity.
inline double RelativeError(const std::vector<double>& got, const std::vector<double>& expected) {
  if (got.size() != expected.size()) return INFINITY;
  double difference = 0, magnitude = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double d = std::abs(got[i] - expected[i]);
    if (std::isnan(d)) return INFINITY;
    difference = std::max(difference, d);
    magnitude = std::max(magnitude, std::abs(expected[i]));
  }
  return difference == 0 ? 0 : difference / magnitude;
}

// Relative error allowed for an op that rounds its result to this dtype.
inline double Tolerance(DType dtype) { return dtype == DType::kF32 ? 1e-5 : 1e-2; }

// test() for every target that is compiled in and that this CPU runs.
template <class Test>
void ForEachTarget(const Test& test) {
  const std::vector<int64_t> targets = hwy::SupportedAndGeneratedTargets();
  ASSERT_FALSE(targets.empty());
  for (const int64_t target : targets) {
    SCOPED_TRACE(hwy::TargetName(target));
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    test();
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

// make() with 1, 2 and 3 threads gives the same bits.
template <class Make>
void ExpectSameBitsOnAnyThreads(const Make& make) {
  const int before = NumThreads();
  SetNumThreads(1);
  const TestTensor one = make();
  for (const int threads : {2, 3}) {
    SetNumThreads(threads);
    EXPECT_TRUE(SameBits(one, make())) << threads << " threads";
  }
  SetNumThreads(before);
}

inline constexpr DType kComputeTypes[] = {DType::kF32, DType::kBF16};
// Around the widths of vectors of 1, 4, 8 and 16 lanes.
inline constexpr int64_t kWidths[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 67, 130};

}  // namespace lorikeet
