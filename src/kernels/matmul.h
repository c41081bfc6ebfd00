// Matrix products through oneDNN: c (M, N) = op(a) . op(b), or c += when accumulating.
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

// True when the CPU multiplies bf16 natively (AVX512-BF16, AMX): then bf16 is the faster dtype.
bool HasNativeBf16();
// The kernel oneDNN picks for y = x W^T of this shape, e.g. "brg:avx512_core_bf16".
std::string MatMulKernelName(int64_t m, int64_t n, int64_t k, DType dtype);
std::string MatMulLibraryVersion();  // "oneDNN 2.6.3"

}  // namespace lorikeet
