#include "model/linear.h"

#include <algorithm>
#include <vector>

#include "core/parallel.h"
#include "kernels/cast.h"
#include "kernels/column_scale.h"
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

// g o dy in dy's dtype, for the products of a DoRA module's backward.
Tensor ScaledGradient(const LoraFactors& lora, const Tensor& dy, Arena& scratch) {
  const Tensor scaled = scratch.Take("lora products", dy.dtype, {dy.rows(), dy.cols()});
  ScaleColumns(dy, lora.gain, scaled);
  return scaled;
}

// The gradient of a DoRA module's magnitudes: dm = sum of dy o (x W^T + s (x A^T) B^T) / |W + s B
// A|.
void AddMagnitudeGradient(const Linear& linear, const LoraFactors& lora, const Tensor& dy,
                          const Tensor& x, const Tensor& lora_x_t, const Tensor& dmagnitude,
                          Arena& scratch) {
  const Tensor product = scratch.Take("lora products", DType::kF32, {dy.rows(), dy.cols()});
  Product(PartOf(linear), linear, "y", x, linear.weight, product, MatMulKind::kNT, false);
  Product(kLowRank, linear, "y", lora_x_t, lora.bt, product, MatMulKind::kTN, true);
  AddColumnDots(dy, product, lora.inverse_norm, dmagnitude);
}

// y (+)= x W^T + s (x A^T) B^T, scaled by g with DoRA.
void AdaptedProduct(const Linear& linear, const LoraFactors& lora, const Tensor& x, const Tensor& y,
                    bool accumulate, const Tensor& lora_x_t, Arena& scratch) {
  const int64_t T = x.rows();
  const Tensor product = scratch.Take("lora products", DType::kF32, {T, lora.r});
  const Tensor low_rank = scratch.Take("lora products", x.dtype, {T, lora.r});
  Product(kLowRank, linear, "x A^T", x, lora.a, product, MatMulKind::kNT, false);
  ScaleCastTranspose(product, lora.scale, low_rank, lora_x_t);
  const bool apart = lora.gain && (accumulate || y.dtype != DType::kF32);
  const Tensor sum = apart ? scratch.Take("projection", DType::kF32, {y.rows(), y.cols()}) : y;
  {
    const PartScope part(PartOf(linear), linear.name, "y");
    MatMulSum({x, linear.weight, MatMulKind::kNT}, {low_rank, lora.bt, MatMulKind::kNN}, sum,
              accumulate && !apart);
  }
  if (lora.gain) ScaleColumns(sum, lora.gain, y, accumulate);
}

}  // namespace

void LinearForward(const Linear& linear, const LoraFactors* lora, const Tensor& x, const Tensor& y,
                   bool accumulate, const Tensor& lora_x_t, Arena& scratch) {
  if (lora == nullptr) {
    Product(PartOf(linear), linear, "y", x, linear.weight, y, MatMulKind::kNT, accumulate);
  } else {
    const ArenaScope scope(scratch);
    AdaptedProduct(linear, *lora, x, y, accumulate, lora_x_t, scratch);
  }
  if (linear.bias) AddBias(y, linear.bias);
}

namespace {

// LinearForwardRows where some ranges are of DoRA: each of those by itself, since its rows are
// scaled before they are added, the others between them together.
void ForwardPieces(const Linear& linear, std::span<const LoraRows> ranges, const Tensor& x,
                   const Tensor& y, bool accumulate, Arena& scratch) {
  std::vector<LoraRows> plain;
  int64_t at = 0;
  const auto flush = [&](int64_t end) {
    if (at < end) {
      LinearForwardRows(linear, plain, x.Rows(at, end), y.Rows(at, end), accumulate, scratch);
    }
    plain.clear();
  };
  for (const LoraRows& range : ranges) {
    if (!range.lora->gain) {
      plain.push_back({range.begin - at, range.end - at, range.lora});
      continue;
    }
    flush(range.begin);
    LinearForward(linear, range.lora, x.Rows(range.begin, range.end),
                  y.Rows(range.begin, range.end), accumulate, Tensor(), scratch);
    at = range.end;
  }
  flush(x.rows());
}

}  // namespace

void LinearForwardRows(const Linear& linear, std::span<const LoraRows> ranges, const Tensor& x,
                       const Tensor& y, bool accumulate, Arena& scratch) {
  if (std::ranges::any_of(ranges,
                          [](const LoraRows& r) { return static_cast<bool>(r.lora->gain); })) {
    return ForwardPieces(linear, ranges, x, y, accumulate, scratch);
  }
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
  const Tensor out = lora->gain ? ScaledGradient(*lora, dy, scratch) : dy;
  Product(kLowRank, linear, "dy B", out, lora->bt, product, MatMulKind::kNT, false);
  ScaleCastTranspose(product, lora->scale, g, lora_dy_t);
  if (!dx) return;
  const PartScope part(PartOf(linear), linear.name, "dx");
  MatMulSum({out, linear.weight, MatMulKind::kNN}, {g, lora->a, MatMulKind::kNN}, dx, accumulate);
}

void LinearBackwardWeights(const Linear& linear, const LoraFactors* lora,
                           const LoraGradients* gradients, const Tensor& dy, const Tensor& x,
                           const Tensor& lora_x_t, const Tensor& lora_dy_t, Arena& scratch) {
  if (gradients != nullptr) {
    const ArenaScope scope(scratch);
    const Tensor out = lora->gain ? ScaledGradient(*lora, dy, scratch) : dy;
    Product(kLowRank, linear, "dA", lora_dy_t, x, gradients->da, MatMulKind::kNN,
            /*accumulate=*/true);
    Product(kLowRank, linear, "dB", lora_x_t, out, gradients->dbt, MatMulKind::kNN,
            /*accumulate=*/true);
    if (gradients->dmagnitude) {
      AddMagnitudeGradient(linear, *lora, dy, x, lora_x_t, gradients->dmagnitude, scratch);
    }
  }
  if (linear.dweight)
    Product(PartOf(linear), linear, "dW", dy, x, linear.dweight, MatMulKind::kTN,
            /*accumulate=*/true);
  if (linear.dbias) ColumnSums(dy, linear.dbias);
}

}  // namespace lorikeet
