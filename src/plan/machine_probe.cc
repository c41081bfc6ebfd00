#include "plan/machine_probe.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <numeric>

#include "core/arena.h"
#include "core/parallel.h"
#include "core/random.h"
#include "kernels/matmul/matmul.h"
#include "kernels/matmul/onednn_matmul.h"

namespace lorikeet {
namespace {

double SecondsOf(const auto& fn) {
  const auto begin = std::chrono::steady_clock::now();
  fn();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

Buffer RandomMatrix(DType dtype, int64_t rows, int64_t cols, std::string_view name) {
  Buffer buffer(dtype, {rows, cols});
  const RandomStream random(1, "probe", name);
  const Tensor& t = buffer.tensor();
  for (int64_t i = 0; i < t.size(); ++i) {
    const auto x = static_cast<float>(2 * random.Uniform(static_cast<uint64_t>(i)) - 1);
    if (dtype == DType::kF32) {
      t.as<float>()[i] = x;
    } else {
      t.as<bfloat16>()[i] = ToBfloat16(x);
    }
  }
  return buffer;
}

// The same few random rows over and over: as good to multiply, and there at once.
Buffer RepeatedRows(DType dtype, int64_t rows, int64_t cols, std::string_view name) {
  constexpr int64_t kRandom = 16;
  const Buffer some = RandomMatrix(dtype, kRandom, cols, name);
  Buffer buffer(dtype, {rows, cols});
  for (int64_t row = 0; row < rows; row += kRandom) {
    const Tensor to = buffer.tensor().Rows(row, std::min(rows, row + kRandom));
    std::memcpy(to.data, some.tensor().data, static_cast<size_t>(to.bytes()));
  }
  return buffer;
}

bool SameBits(const Tensor& a, const Tensor& b) {
  return std::memcmp(a.data, b.data, static_cast<size_t>(a.bytes())) == 0;
}

// Fact 1 of the bit rules: rows of a product do not depend on how many there are.
EngineProbe::Check CheckRows(DType dtype, const std::vector<int64_t>& sizes) {
  constexpr int64_t kMany = 200;
  int64_t differing = 0, cases = 0;
  for (const int64_t k : sizes) {
    for (const int64_t n : sizes) {
      const Buffer a = RandomMatrix(dtype, kMany, k, "a"), b = RandomMatrix(dtype, n, k, "b");
      const Buffer whole(DType::kF32, {kMany, n});
      MatMul(a.tensor(), b.tensor(), whole.tensor(), MatMulKind::kNT);
      for (const int64_t m : {1, 2, 7, 16, 33, 100}) {
        const Buffer part(DType::kF32, {m, n});
        MatMul(a.tensor().Rows(3, 3 + m), b.tensor(), part.tensor(), MatMulKind::kNT);
        differing += SameBits(whole.tensor().Rows(3, 3 + m), part.tensor()) ? 0 : 1;
        ++cases;
      }
    }
  }
  return {fmt::format("rows do not depend on the batch size ({})", DTypeName(dtype)),
          differing == 0, fmt::format("{} of {} products differ", differing, cases)};
}

// Fact 2: threads do not change the bits of a product that reduces over tokens.
EngineProbe::Check CheckThreads(DType dtype) {
  const int before = NumThreads();
  int64_t differing = 0, cases = 0;
  for (const auto& [m, n, k] :
       {std::array<int64_t, 3>{1, 576, 2048}, {16, 1536, 2048}, {64, 192, 500}}) {
    const Buffer a = RandomMatrix(dtype, m, k, "a"), b = RandomMatrix(dtype, k, n, "b");
    SetNumThreads(1);
    const Buffer one(DType::kF32, {m, n});
    MatMul(a.tensor(), b.tensor(), one.tensor(), MatMulKind::kNN);
    for (const int threads : {2, 3, before}) {
      SetNumThreads(threads);
      const Buffer many(DType::kF32, {m, n});
      MatMul(a.tensor(), b.tensor(), many.tensor(), MatMulKind::kNN);
      differing += SameBits(one.tensor(), many.tensor()) ? 0 : 1;
      ++cases;
    }
  }
  SetNumThreads(before);
  return {fmt::format("sums over tokens do not depend on threads ({})", DTypeName(dtype)),
          differing == 0, fmt::format("{} of {} products differ", differing, cases)};
}

}  // namespace

std::string EngineVersions() { return OneDnnVersion(); }
bool EngineHasNativeBf16() { return HasNativeBf16(); }

double MeasureMatMulPeak(DType dtype, int repetitions) {
  if (dtype == DType::kBF16 && !HasNativeBf16()) return 0;
  constexpr int64_t kSize = 2048;
  const Buffer a = RepeatedRows(dtype, kSize, kSize, "a"),
               b = RepeatedRows(dtype, kSize, kSize, "b");
  const Buffer c(DType::kF32, {kSize, kSize});
  std::memset(c.tensor().data, 0, static_cast<size_t>(c.tensor().bytes()));  // pages are there
  double best = 1e9;
  for (int i = 0; i <= repetitions; ++i) {  // the first one makes the primitive, too
    best = std::min(best, SecondsOf([&] {
                      OneDnnMatMul(a.tensor(), b.tensor(), c.tensor(), MatMulKind::kNT);
                    }));
  }
  return 2.0 * kSize * kSize * kSize / best * 1e-9;
}

double MeasureReadBandwidth() {
  constexpr int64_t kBytes = int64_t{512} << 20;  // beyond the caches that matter here
  const Buffer memory(DType::kI32, {kBytes / 4});
  std::memset(memory.tensor().data, 1, kBytes);
  const auto* words = static_cast<const uint64_t*>(memory.tensor().data);
  std::vector<uint64_t> sums(static_cast<size_t>(NumThreads()));
  double best = 1e9;
  for (int repetition = 0; repetition < 3; ++repetition) {
    best = std::min(best, SecondsOf([&] {
                      ParallelRanges(kBytes / 8, 1 << 16, [&](int64_t begin, int64_t end) {
                        // Eight independent sums keep enough loads under way.
                        uint64_t s[8] = {};
                        for (int64_t i = begin; i + 8 <= end; i += 8) {
                          for (int j = 0; j < 8; ++j) s[j] += words[i + j];
                        }
                        sums[static_cast<size_t>(omp_get_thread_num())] +=
                            std::accumulate(s, s + 8, uint64_t{0});
                      });
                    }));
  }
  CHECK(std::accumulate(sums.begin(), sums.end(), uint64_t{0}) != 0);  // keeps the loads alive
  return static_cast<double>(kBytes) / best * 1e-9;
}

EngineProbe::Check CheckRowBits(DType dtype) { return CheckRows(dtype, {16, 192}); }

EngineProbe ProbeEngine(bool quick) {
  EngineProbe probe;
  probe.library_versions = EngineVersions();
  const int repetitions = quick ? 2 : 8;
  probe.peak_gflops_f32 = MeasureMatMulPeak(DType::kF32, repetitions);
  probe.peak_gflops_bf16 = MeasureMatMulPeak(DType::kBF16, repetitions);
  probe.read_bandwidth_gbs = MeasureReadBandwidth();
  const std::vector<int64_t> sizes =
      quick ? std::vector<int64_t>{16, 192} : std::vector<int64_t>{1, 16, 64, 192, 576, 1536};
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    if (dtype == DType::kBF16 && !HasNativeBf16()) continue;
    probe.bit_checks.push_back(CheckRows(dtype, sizes));
    probe.bit_checks.push_back(CheckThreads(dtype));
  }
  return probe;
}

}  // namespace lorikeet
