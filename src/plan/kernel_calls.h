// Calls of kernels at given shapes: what each must compute and move, and how to make it. Step costs
// and the kernels' benchmarks are both made of these. C = f32|bf16, the compute dtype.
//
// FLOPs: of products two per multiply-add, over attention's causal half, and nothing beside them;
// of the other kernels one per addition, multiplication, division, root, exponential and comparison
// of an element. Bytes: operands read once, results written once, each in its dtype; what is added
// to is read and written. Scratch, and what a kernel reads again, is not counted.
#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

#include "core/arena.h"
#include "core/tensor.h"
#include "kernels/attention.h"
#include "kernels/matmul/matmul.h"

namespace lorikeet {

// Memory of a call's operands. Tensors and token lists stay where they are until it ends. Throws
// Error(kOutOfMemory) rather than take more than was available at first.
class Operands {
 public:
  // Uniform in +-0.5; every page of 4096 values is the same. f32 or bf16.
  Tensor Random(DType dtype, std::initializer_list<int64_t> shape);
  Tensor Zero(DType dtype, std::initializer_list<int64_t> shape);
  const std::vector<int32_t>& Tokens(int64_t count, int64_t vocab_size);

 private:
  int64_t taken_ = 0, available_ = 0;
  std::vector<Buffer> buffers_;
  std::deque<std::vector<int32_t>> tokens_;  // which does not move what it holds
};

struct KernelCall {
  std::string kernel;  // "MatMul NT", "RmsNormForward"
  std::string shape;   // "2048 x 576"; with `kernel` it tells calls of one C apart
  double flops = 0, bytes = 0;
  // Fills memory with operands; what it returns runs the kernel on them, as often as is wanted.
  std::function<std::function<void()>(Operands&)> prepare;
};

// c (M, N) = op(a) op(b), K the dimension that is summed.
struct ProductShape {
  MatMulKind kind = MatMulKind::kNT;
  int64_t m = 0, n = 0, k = 0;
  DType operands = DType::kF32, result = DType::kF32;
  bool accumulate = false;
};
KernelCall MatMulCall(const ProductShape& p);
KernelCall MatMulSumCall(const ProductShape& p, int64_t r);  // and a2 (M, R) b2 (R, N)

// T tokens in sequences of S, the last one shorter where they do not come out even.
struct AttentionCallShape {
  int64_t tokens = 0, sequence_length = 0;
  AttentionShape heads;
};
KernelCall AttentionForwardCall(const AttentionCallShape& s, DType C);
KernelCall AttentionBackwardCall(const AttentionCallShape& s, DType C);

// Token-major rows of K * G heads and their dense matrices (kernels/heads.h).
struct HeadsShape {
  int64_t tokens = 0, kv_heads = 0, group = 0, head_dim = 0;
  bool rope = false, norm = false;
};
KernelCall SplitHeadsForwardCall(const HeadsShape& s, DType C);
KernelCall SplitHeadsBackwardCall(const HeadsShape& s, DType C, bool with_dw);

KernelCall RmsNormForwardCall(int64_t T, int64_t D, DType C);
KernelCall RmsNormScaleCall(int64_t T, int64_t D, DType C);
KernelCall RmsNormBackwardCall(int64_t T, int64_t D, DType C, bool with_dw);
KernelCall SwigluForwardCall(int64_t T, int64_t F, DType C);
KernelCall SwigluRecomputeCall(int64_t T, int64_t F, DType C);
KernelCall SwigluBackwardCall(int64_t T, int64_t F, DType C);
KernelCall WeightedSwigluForwardCall(int64_t T, int64_t F, DType C);
KernelCall WeightedSwigluBackwardCall(int64_t T, int64_t F, DType C);

// T tokens to k of E experts; n of T rows of D.
struct RouteShape {
  int64_t tokens = 0, experts = 0, active = 0;
};
KernelCall RouteForwardCall(const RouteShape& s);
KernelCall RouteBackwardCall(const RouteShape& s, DType C);
KernelCall GatherRowsCall(int64_t T, int64_t n, int64_t D, DType from, DType to);
KernelCall AddToRowsCall(int64_t T, int64_t n, int64_t D);

KernelCall TargetLogprobsCall(int64_t rows, int64_t V);
KernelCall LogprobBackwardCall(int64_t rows, int64_t V, DType C);
KernelCall ConvertCall(int64_t T, int64_t D, DType C);
KernelCall ScaleCastTransposeCall(int64_t T, int64_t R, DType C);
KernelCall EmbeddingForwardCall(int64_t T, int64_t V, int64_t D, DType C);
KernelCall EmbeddingBackwardCall(int64_t T, int64_t V, int64_t D);
KernelCall SumOfSquaresCall(int64_t size);
KernelCall AdamWCall(int64_t size, bool with_bf16);  // with the working copy in bf16

}  // namespace lorikeet
