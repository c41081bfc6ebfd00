#include "model/linear.h"

#include <algorithm>

#include "core/parallel.h"
#include "kernels/cast.h"
#include "kernels/matmul/matmul.h"
#include "kernels/trace.h"

namespace lorikeet {
namespace {

// A product of a part of the step (core/profile.h), by the names of docs/performance.md.
void Product(const char* part, const Linear& linear, const char* what, const Tensor& a,
             const Tensor& b, const Tensor& c, MatMulKind kind, bool accumulate) {
  const PartScope scope(part, linear.name, what);
  MatMul(a, b, c, kind, accumulate);
}

constexpr const char* kLowRank = "low-rank products";
const char* PartOf(const Linear& linear) {
  return linear.name == "lm_head" ? "head products" : "base products";
}

KernelCall LowRankCall(std::span<const LoraRows> ranges, const Tensor& x, const Tensor& y) {
  KernelCall call{"AddLowRank",
                  kLowRank,
                  {"{} x {} x {} in {}", {x.rows(), x.cols(), y.cols(), std::ssize(ranges)}}};
  for (const LoraRows& range : ranges) {
    const int64_t n = range.end - range.begin, r = range.lora->r;
    call.flops += 2 * n * r * (x.cols() + y.cols());
    call.bytes += BytesOf(range.lora->a, range.lora->bt, x.Rows(range.begin, range.end)) +
                  2 * y.Rows(range.begin, range.end).bytes();
  }
  return call;
}

// y += s (x A^T) B^T of every range. product and low_rank: scratch with the rows of x.
void AddLowRank(std::span<const LoraRows> ranges, const Tensor& x, const Tensor& product,
                const Tensor& low_rank, const Tensor& y) {
  const Kernel here([&] { return LowRankCall(ranges, x, y); });
  if (here.dry()) return;
  ParallelDynamic(std::ssize(ranges), [&](int64_t i) {
    const LoraRows& range = ranges[static_cast<size_t>(i)];
    const LoraFactors& lora = *range.lora;
    const int64_t n = range.end - range.begin;
    const auto own = [&](const Tensor& all) {  // (n, r) at the range's place in the scratch
      return Tensor(all.Rows(range.begin, range.end).data, all.dtype, {n, lora.r});
    };
    MatMul(x.Rows(range.begin, range.end), lora.a, own(product), MatMulKind::kNT);
    ScaleCastTranspose(own(product), lora.scale, own(low_rank), Tensor());
    MatMul(own(low_rank), lora.bt, y.Rows(range.begin, range.end), MatMulKind::kNN,
           /*accumulate=*/true);
  });
}

}  // namespace

void LinearForward(const Linear& linear, const LoraFactors* lora, const Tensor& x, const Tensor& y,
                   bool accumulate, const Tensor& lora_x_t, Arena& scratch) {
  if (lora == nullptr) {
    Product(PartOf(linear), linear, "y", x, linear.weight, y, MatMulKind::kNT, accumulate);
  } else {
    const ArenaScope scope(scratch);
    const int64_t T = x.rows();
    const Tensor product = scratch.Take("lora products", DType::kF32, {T, lora->r});
    const Tensor low_rank = scratch.Take("lora products", x.dtype, {T, lora->r});
    Product(kLowRank, linear, "x A^T", x, lora->a, product, MatMulKind::kNT, false);
    ScaleCastTranspose(product, lora->scale, low_rank, lora_x_t);
    const PartScope part(PartOf(linear), linear.name, "y");
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
  Product(PartOf(linear), linear, "y", x, linear.weight, sum, MatMulKind::kNT, accumulate);
  int64_t max_rank = 0;
  for (const LoraRows& range : ranges) max_rank = std::max(max_rank, range.lora->r);
  max_rank = (max_rank + 1) / 2 * 2;  // every range begins at a whole word of two bf16
  const Tensor product = scratch.Take("lora products", DType::kF32, {x.rows(), max_rank});
  const Tensor low_rank = scratch.Take("lora products", x.dtype, {x.rows(), max_rank});
  AddLowRank(ranges, x, product, low_rank, sum);
  if (rounds) Convert(sum, y);
  if (linear.bias) AddBias(y, linear.bias);
}

void LinearBackwardInput(const Linear& linear, const LoraFactors* lora, const Tensor& dy,
                         const Tensor& dx, bool accumulate, const Tensor& lora_dy_t,
                         Arena& scratch) {
  if (lora == nullptr) {
    if (dx)
      Product(PartOf(linear), linear, "dx", dy, linear.weight, dx, MatMulKind::kNN, accumulate);
    return;
  }
  const ArenaScope scope(scratch);
  const int64_t T = dy.rows();
  const Tensor product = scratch.Take("lora products", DType::kF32, {T, lora->r});
  const Tensor g = scratch.Take("lora products", dy.dtype, {T, lora->r});
  Product(kLowRank, linear, "dy B", dy, lora->bt, product, MatMulKind::kNT, false);
  ScaleCastTranspose(product, lora->scale, g, lora_dy_t);
  if (!dx) return;
  const PartScope part(PartOf(linear), linear.name, "dx");
  MatMulSum({dy, linear.weight, MatMulKind::kNN}, {g, lora->a, MatMulKind::kNN}, dx, accumulate);
}

void LinearBackwardWeights(const Linear& linear, const LoraGradients* gradients, const Tensor& dy,
                           const Tensor& x, const Tensor& lora_x_t, const Tensor& lora_dy_t) {
  if (gradients != nullptr) {
    Product(kLowRank, linear, "dA", lora_dy_t, x, gradients->da, MatMulKind::kNN,
            /*accumulate=*/true);
    Product(kLowRank, linear, "dB", lora_x_t, dy, gradients->dbt, MatMulKind::kNN,
            /*accumulate=*/true);
  }
  if (linear.dweight)
    Product(PartOf(linear), linear, "dW", dy, x, linear.dweight, MatMulKind::kTN,
            /*accumulate=*/true);
  if (linear.dbias) ColumnSums(dy, linear.dbias);
}

}  // namespace lorikeet
