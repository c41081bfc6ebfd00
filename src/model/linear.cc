#include "model/linear.h"

#include "kernels/cast.h"
#include "kernels/matmul.h"

namespace lorikeet {

void LinearForward(const Linear& linear, const LoraPair* lora, const Tensor& x, const Tensor& y,
                   bool accumulate, const Tensor& low_rank_t, Arena& scratch) {
  MatMul(x, linear.weight, y, MatMulKind::kNT, accumulate);
  if (linear.bias) AddBias(y, linear.bias);
  if (lora == nullptr) return;
  const ArenaScope scope(scratch);
  const int64_t T = x.rows();
  const Tensor product = scratch.Take("lora products", DType::kF32, {T, lora->r});
  const Tensor low_rank = scratch.Take("lora products", x.dtype, {T, lora->r});
  MatMul(x, lora->a_c, product, MatMulKind::kNT);
  ScaleCastTranspose(product, lora->scale, low_rank, low_rank_t);
  MatMul(low_rank, lora->bt_c, y, MatMulKind::kNN, /*accumulate=*/true);
}

void LinearBackwardInput(const Linear& linear, const LoraPair* lora, const Tensor& dy,
                         const Tensor& dx, bool accumulate, const Tensor& g_t, Arena& scratch) {
  if (dx) MatMul(dy, linear.weight, dx, MatMulKind::kNN, accumulate);
  if (lora == nullptr) return;
  const ArenaScope scope(scratch);
  const int64_t T = dy.rows();
  const Tensor product = scratch.Take("lora products", DType::kF32, {T, lora->r});
  const Tensor g = scratch.Take("lora products", dy.dtype, {T, lora->r});
  MatMul(dy, lora->bt_c, product, MatMulKind::kNT);
  ScaleCastTranspose(product, lora->scale, g, g_t);
  if (dx) MatMul(g, lora->a_c, dx, MatMulKind::kNN, /*accumulate=*/true);
}

void LinearBackwardWeights(const Linear& linear, const LoraPair* lora, const Tensor& dy,
                           const Tensor& x, const Tensor& low_rank_t, const Tensor& g_t) {
  if (lora != nullptr && lora->da) {
    MatMul(g_t, x, lora->da, MatMulKind::kNN, /*accumulate=*/true);
    MatMul(low_rank_t, dy, lora->dbt, MatMulKind::kNN, /*accumulate=*/true);
  }
  if (linear.dweight) MatMul(dy, x, linear.dweight, MatMulKind::kTN, /*accumulate=*/true);
  if (linear.dbias) ColumnSums(dy, linear.dbias);
}

}  // namespace lorikeet
