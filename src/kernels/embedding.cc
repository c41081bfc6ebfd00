#include "kernels/embedding.h"

#include "kernels/rows.h"
#include "kernels/trace.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/embedding.cc"
#include <hwy/foreach_target.h>
// foreach_target.h first
#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lorikeet::HWY_NAMESPACE {
namespace {

template <class From>
void GatherRows(std::span<const int32_t> tokens, const Tensor& table, const Tensor& residual,
                float factor, int64_t begin, int64_t end) {
  const int64_t D = table.cols();
  const Vec scale = Set(factor);
  for (int64_t t = begin; t < end; ++t) {
    const From* from = table.as<From>() + tokens[t] * D;
    float* to = residual.as<float>() + t * D;
    ForVectors(D, [=](auto lanes, int64_t i)
                      HWY_ATTR { lanes.Store(hn::Mul(scale, lanes.Load(from + i)), to + i); });
  }
}

void Gather(std::span<const int32_t> tokens, const Tensor& table, const Tensor& residual,
            float factor, int64_t begin, int64_t end) {
  const auto rows = table.dtype == DType::kF32    ? GatherRows<float>
                    : table.dtype == DType::kBF16 ? GatherRows<bfloat16>
                                                  : GatherRows<float16>;
  rows(tokens, table, residual, factor, begin, end);
}

// Columns [begin, begin + n) of every token, in the order of the tokens.
void ScatterColumns(std::span<const int32_t> tokens, const float* dresidual, int64_t D,
                    float* dtable, float factor, int64_t begin, int64_t n) {
  const Vec scale = Set(factor);
  for (const int32_t token : tokens) {
    float* sum = dtable + token * D + begin;
    const float* term = dresidual + begin;
    ForVectors(n, [=](auto lanes, int64_t i) HWY_ATTR {
      lanes.Store(hn::MulAdd(scale, lanes.Load(term + i), lanes.Load(sum + i)), sum + i);
    });
    dresidual += D;
  }
}

}  // namespace
}  // namespace lorikeet::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lorikeet {
namespace {
HWY_EXPORT(Gather);
HWY_EXPORT(ScatterColumns);

constexpr int64_t kIndex = sizeof(int32_t);  // bytes of a token

void CheckTokens(std::span<const int32_t> tokens, const Tensor& table, const Tensor& rows) {
  CHECK(table.rank == 2 && rows.rank == 2 && table.cols() == rows.cols());
  CHECK(rows.rows() == static_cast<int64_t>(tokens.size()));
  for (const int32_t token : tokens) CHECK(token >= 0 && token < table.rows());
}
}  // namespace

void EmbeddingForward(std::span<const int32_t> tokens, const Tensor& table, const Tensor& residual,
                      float factor) {
  const int64_t T = residual.rows(), D = residual.cols();
  const Kernel here(
      [&] {
        return KernelCall{"EmbeddingForward",
                          "embedding",
                          {"{} x {} of {}", {T, D, table.rows()}},
                          factor == 1 ? 0 : T * D,
                          kIndex * T + BytesOf(residual) + DTypeBytes(table.dtype, T * D)};
      },
      [&] {
        return Replay([=](const Relocate& at) {
          EmbeddingForward(at.Tokens(tokens, table.rows()), at(table), at(residual), factor);
        });
      });
  CheckTokens(tokens, table, residual);
  CHECK(IsCompute(table) || table.dtype == DType::kF16);
  if (here.dry()) return;
  ParallelRanges(residual.rows(), RowGrain(residual.cols()), [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(Gather)(tokens, table, residual, factor, begin, end);
  });
}

void EmbeddingBackward(std::span<const int32_t> tokens, const Tensor& dresidual,
                       const Tensor& dtable, float factor) {
  const int64_t T = dresidual.rows(), D = dtable.cols();
  const Kernel here(
      [&] {
        return KernelCall{"EmbeddingBackward",
                          "embedding",
                          {"{} x {} of {}", {T, D, dtable.rows()}},
                          (factor == 1 ? 1 : 2) * T * D,
                          kIndex * T + 3 * BytesOf(dresidual)};
      },
      [&] {
        return Replay([=](const Relocate& at) {
          EmbeddingBackward(at.Tokens(tokens, dtable.rows()), at(dresidual), at(dtable), factor);
        });
      });
  CheckTokens(tokens, dtable, dresidual);
  if (here.dry()) return;
  const float* d = dresidual.as<float>();
  float* sums = dtable.as<float>();
  // Two tokens may be the same row: a thread owns columns, not tokens.
  ParallelColumns(D, dresidual.rows(), [&](int64_t begin, int64_t n) {
    HWY_DYNAMIC_DISPATCH(ScatterColumns)(tokens, d, D, sums, factor, begin, n);
  });
}

}  // namespace lorikeet
#endif  // HWY_ONCE
