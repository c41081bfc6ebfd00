// Matrix products, c (M, N) = op(a) . op(b) or c += when accumulating: through oneDNN, and in bf16
// on CPUs with AMX through kernels of our own (kernels/amx_matmul.h).
//
// Both operands share one dtype (f32 or bf16) and are dense and row-major, as weights lie in
// their file. Sums run in f32. Bit rule: a row of c depends on its own row of a, on b and on the
// shapes K and N, never on M or on the number of threads (kTN, which reduces over tokens: never on
// the number of threads). It rests on oneDNN choosing its brgemm kernels, which it does for dense
// operands; the tests and `lorikeet doctor` check it.
#pragma once
#include <string>

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

// The same through oneDNN whatever the CPU: a yardstick for measurements. Where MatMul does not use
// it, its bf16 results do not keep the bit rule.
void LibraryMatMul(const Tensor& a, const Tensor& b, const Tensor& c, MatMulKind kind,
                   bool accumulate = false);

// c = op(a) . op(b) + op(a2) . op(b2), or c +=, under the same bit rule. c is f32, or, where
// MatMulSumTakes(bf16) and it does not accumulate, bf16, rounded once. The second term is meant to
// be the small one (the low-rank part of an adapted layer): it costs no pass over c of its own
// where that can be had.
struct MatMulTerm {
  Tensor a, b;
  MatMulKind kind;
};
void MatMulSum(const MatMulTerm& first, const MatMulTerm& second, const Tensor& c,
               bool accumulate = false);
bool MatMulSumTakes(DType result);

// True when the CPU multiplies bf16 natively (AVX512-BF16, AMX).
bool HasNativeBf16();
std::string MatMulLibraryVersion();  // "oneDNN 2.6.3"

}  // namespace lorikeet
