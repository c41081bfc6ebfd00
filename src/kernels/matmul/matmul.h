// Matrix products, c (M, N) = op(a) . op(b) or c += when accumulating: on AMX tiles
// (kernels/matmul/amx_matmul.h) or by register kernels (kernels/matmul/panel_matmul.h).
//
// Both operands share one dtype (f32, or bf16 where HasNativeBf16) and are dense and row-major, as
// weights lie in their file. Sums run in f32. Bit rule: an element of c depends on its row of a,
// its column of b and on K alone, never on M, N or the number of threads. The tests and `lorikeet
// doctor` check it.
#pragma once
#include "core/tensor.h"

namespace lorikeet {

enum class MatMulKind : uint8_t {
  kNT,  // a (M, K), b (N, K): y = x W^T
  kNN,  // a (M, K), b (K, N): dx = dy W
  kTN,  // a (K, M), b (K, N): dW = dy^T x
};

// c is f32 or the operands' dtype; accumulation needs f32. Inside a parallel region it runs on the
// calling thread alone. Nothing happens when M or N is 0; K is at least 1.
void MatMul(const Tensor& a, const Tensor& b, const Tensor& c, MatMulKind kind,
            bool accumulate = false);

// c = op(a) . op(b) + op(a2) . op(b2), or c +=, under the same bit rule and with no pass over c for
// the second term: the low-rank part of an adapted layer. c is f32 or, where it does not
// accumulate, the operands' dtype, rounded once.
struct MatMulTerm {
  Tensor a, b;
  MatMulKind kind;
};
void MatMulSum(const MatMulTerm& first, const MatMulTerm& second, const Tensor& c,
               bool accumulate = false);

// True when the CPU multiplies bf16 natively (AVX512-BF16, AMX).
bool HasNativeBf16();

}  // namespace lorikeet
