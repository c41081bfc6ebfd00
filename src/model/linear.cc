#include "model/linear.h"

#include <algorithm>

#include "core/parallel.h"
#include "core/profile.h"
#include "kernels/cast.h"
#include "kernels/matmul/matmul.h"

namespace lorikeet {
namespace {

// A product and its share of the step's time (core/profile.h).
void TimedMatMul(const char* part, const Tensor& a, const Tensor& b, const Tensor& c,
                 MatMulKind kind, bool accumulate) {
  const TimedPart timed(part);
  MatMul(a, b, c, kind, accumulate);
}

constexpr const char* kLowRank = "low-rank products";
const char* PartOf(const Linear& linear) {
  return linear.name == "lm_head" ? "head products" : "base products";
}

}  // namespace

void LinearForward(const Linear& linear, const LoraFactors* lora, const Tensor& x, const Tensor& y,
                   bool accumulate, const Tensor& lora_x_t, Arena& scratch) {
  if (lora == nullptr) {
    TimedMatMul(PartOf(linear), x, linear.weight, y, MatMulKind::kNT, accumulate);
  } else {
    const ArenaScope scope(scratch);
    const int64_t T = x.rows();
    const Tensor product = scratch.Take("lora products", DType::kF32, {T, lora->r});
    const Tensor low_rank = scratch.Take("lora products", x.dtype, {T, lora->r});
    TimedMatMul(kLowRank, x, lora->a, product, MatMulKind::kNT, false);
    ScaleCastTranspose(product, lora->scale, low_rank, lora_x_t);
    const TimedPart timed(PartOf(linear));
    MatMulSum({x, linear.weight, MatMulKind::kNT}, {low_rank, lora->bt, MatMulKind::kNN}, y,
              accumulate);
  }
  if (linear.bias) AddBias(y, linear.bias);
}

void LinearForwardRows(const Linear& linear, std::span<const LoraRows> ranges, const Tensor& x,
                       const Tensor& y, bool accumulate, Arena& scratch) {
  const ArenaScope scope(scratch);
  // The low-rank part continues the base's f32 sums, so they are not rounded to C in between.
  const bool rounds = y.dtype != DType::kF32 && !ranges.empty();
  const Tensor sum = rounds ? scratch.Take("projection", DType::kF32, {y.rows(), y.cols()}) : y;
  TimedMatMul(PartOf(linear), x, linear.weight, sum, MatMulKind::kNT, accumulate);
  int64_t max_rank = 0;
  for (const LoraRows& range : ranges) max_rank = std::max(max_rank, range.lora->r);
  const Tensor product = scratch.Take("lora products", DType::kF32, {x.rows(), max_rank});
  const Tensor low_rank = scratch.Take("lora products", x.dtype, {x.rows(), max_rank});
  const TimedPart timed(kLowRank);
  ParallelDynamic(std::ssize(ranges), [&](int64_t i) {
    const LoraRows& range = ranges[static_cast<size_t>(i)];
    const LoraFactors& lora = *range.lora;
    const int64_t n = range.end - range.begin;
    const auto own = [&](const Tensor& all) {  // (n, r) at the range's place in the scratch
      return Tensor(all.Rows(range.begin, range.end).data, all.dtype, {n, lora.r});
    };
    MatMul(x.Rows(range.begin, range.end), lora.a, own(product), MatMulKind::kNT);
    ScaleCastTranspose(own(product), lora.scale, own(low_rank), Tensor());
    MatMul(own(low_rank), lora.bt, sum.Rows(range.begin, range.end), MatMulKind::kNN,
           /*accumulate=*/true);
  });
  if (rounds) Convert(sum, y);
  if (linear.bias) AddBias(y, linear.bias);
}

void LinearBackwardInput(const Linear& linear, const LoraFactors* lora, const Tensor& dy,
                         const Tensor& dx, bool accumulate, const Tensor& lora_dy_t,
                         Arena& scratch) {
  if (lora == nullptr) {
    if (dx) TimedMatMul(PartOf(linear), dy, linear.weight, dx, MatMulKind::kNN, accumulate);
    return;
  }
  const ArenaScope scope(scratch);
  const int64_t T = dy.rows();
  const Tensor product = scratch.Take("lora products", DType::kF32, {T, lora->r});
  const Tensor g = scratch.Take("lora products", dy.dtype, {T, lora->r});
  TimedMatMul(kLowRank, dy, lora->bt, product, MatMulKind::kNT, false);
  ScaleCastTranspose(product, lora->scale, g, lora_dy_t);
  if (!dx) return;
  const TimedPart timed(PartOf(linear));
  MatMulSum({dy, linear.weight, MatMulKind::kNN}, {g, lora->a, MatMulKind::kNN}, dx, accumulate);
}

void LinearBackwardWeights(const Linear& linear, const LoraGradients* gradients, const Tensor& dy,
                           const Tensor& x, const Tensor& lora_x_t, const Tensor& lora_dy_t) {
  if (gradients != nullptr) {
    TimedMatMul(kLowRank, lora_dy_t, x, gradients->da, MatMulKind::kNN, /*accumulate=*/true);
    TimedMatMul(kLowRank, lora_x_t, dy, gradients->dbt, MatMulKind::kNN, /*accumulate=*/true);
  }
  if (linear.dweight)
    TimedMatMul(PartOf(linear), dy, x, linear.dweight, MatMulKind::kTN, /*accumulate=*/true);
  if (linear.dbias) ColumnSums(dy, linear.dbias);
}

}  // namespace lorikeet
