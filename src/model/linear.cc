#include "model/linear.h"

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

void LinearForward(const Linear& linear, const LoraPair* lora, const Tensor& x, const Tensor& y,
                   bool accumulate, const Tensor& low_rank_t, Arena& scratch) {
  if (lora == nullptr) {
    TimedMatMul(PartOf(linear), x, linear.weight, y, MatMulKind::kNT, accumulate);
  } else {
    const ArenaScope scope(scratch);
    const int64_t T = x.rows();
    const Tensor product = scratch.Take("lora products", DType::kF32, {T, lora->r});
    const Tensor low_rank = scratch.Take("lora products", x.dtype, {T, lora->r});
    TimedMatMul(kLowRank, x, lora->a_c, product, MatMulKind::kNT, false);
    ScaleCastTranspose(product, lora->scale, low_rank, low_rank_t);
    const TimedPart timed(PartOf(linear));
    MatMulSum({x, linear.weight, MatMulKind::kNT}, {low_rank, lora->bt_c, MatMulKind::kNN}, y,
              accumulate);
  }
  if (linear.bias) AddBias(y, linear.bias);
}

void LinearBackwardInput(const Linear& linear, const LoraPair* lora, const Tensor& dy,
                         const Tensor& dx, bool accumulate, const Tensor& g_t, Arena& scratch) {
  if (lora == nullptr) {
    if (dx) TimedMatMul(PartOf(linear), dy, linear.weight, dx, MatMulKind::kNN, accumulate);
    return;
  }
  const ArenaScope scope(scratch);
  const int64_t T = dy.rows();
  const Tensor product = scratch.Take("lora products", DType::kF32, {T, lora->r});
  const Tensor g = scratch.Take("lora products", dy.dtype, {T, lora->r});
  TimedMatMul(kLowRank, dy, lora->bt_c, product, MatMulKind::kNT, false);
  ScaleCastTranspose(product, lora->scale, g, g_t);
  if (!dx) return;
  const TimedPart timed(PartOf(linear));
  MatMulSum({dy, linear.weight, MatMulKind::kNN}, {g, lora->a_c, MatMulKind::kNN}, dx, accumulate);
}

void LinearBackwardWeights(const Linear& linear, const LoraPair* lora, const Tensor& dy,
                           const Tensor& x, const Tensor& low_rank_t, const Tensor& g_t) {
  if (lora != nullptr && lora->da) {
    TimedMatMul(kLowRank, g_t, x, lora->da, MatMulKind::kNN, /*accumulate=*/true);
    TimedMatMul(kLowRank, low_rank_t, dy, lora->dbt, MatMulKind::kNN, /*accumulate=*/true);
  }
  if (linear.dweight)
    TimedMatMul(PartOf(linear), dy, x, linear.dweight, MatMulKind::kTN, /*accumulate=*/true);
  if (linear.dbias) ColumnSums(dy, linear.dbias);
}

}  // namespace lorikeet
