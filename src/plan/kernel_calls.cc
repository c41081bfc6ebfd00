#include "plan/kernel_calls.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "core/format.h"
#include "core/machine.h"
#include "core/random.h"
#include "kernels/adamw.h"
#include "kernels/cast.h"
#include "kernels/cross_entropy.h"
#include "kernels/embedding.h"
#include "kernels/expert_rows.h"
#include "kernels/heads.h"
#include "kernels/rms_norm.h"
#include "kernels/swiglu.h"

namespace lorikeet {
namespace {

constexpr DType kF32 = DType::kF32;
constexpr int64_t kF32Bytes = 4;

using Run = std::function<void()>;

int64_t Width(DType dtype) { return DTypeBytes(dtype, 1); }

template <class... Sizes>
std::string Shape(int64_t first, Sizes... rest) {
  std::string text = std::to_string(first);
  ((text += " x " + std::to_string(rest)), ...);
  return text;
}

KernelCall Call(std::string kernel, std::string shape, int64_t flops, int64_t bytes) {
  return {std::move(kernel), std::move(shape), static_cast<double>(flops),
          static_cast<double>(bytes), nullptr};
}

std::string ProductName(const char* function, const ProductShape& p) {
  const char* kind = p.kind == MatMulKind::kNT ? "NT" : p.kind == MatMulKind::kNN ? "NN" : "TN";
  return fmt::format("{} {}{}{}", function, kind, p.accumulate ? " +=" : "",
                     p.result == kF32 ? "" : " in " + std::string(DTypeName(p.result)));
}

int64_t ProductBytes(const ProductShape& p) {
  return Width(p.operands) * (p.m * p.k + p.k * p.n) +
         Width(p.result) * (p.accumulate ? 2 : 1) * p.m * p.n;
}

struct Factors {
  Tensor a, b, c;
};
Factors MakeFactors(Operands& memory, const ProductShape& p) {
  const bool a_turned = p.kind == MatMulKind::kTN, b_turned = p.kind == MatMulKind::kNT;
  return {memory.Random(p.operands, {a_turned ? p.k : p.m, a_turned ? p.m : p.k}),
          memory.Random(p.operands, {b_turned ? p.n : p.k, b_turned ? p.k : p.n}),
          memory.Zero(p.result, {p.m, p.n})};
}

Routing MakeRouting(Operands& memory, const RouteShape& s) {
  const int64_t T = s.tokens, E = s.experts, k = s.active;
  return {memory.Zero(kF32, {T, E}),        memory.Zero(DType::kI32, {T, k}),
          memory.Zero(kF32, {T * k}),       memory.Zero(DType::kI32, {T * k}),
          memory.Zero(DType::kI32, {T, k}), memory.Zero(DType::kI32, {E + 1})};
}
std::string RouteText(const RouteShape& s) {
  return fmt::format("{} to {} of {}", s.tokens, s.active, s.experts);
}

// n different ones of T tokens, evenly spread.
std::vector<int32_t> Spread(int64_t T, int64_t n) {
  std::vector<int32_t> tokens(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) tokens[static_cast<size_t>(i)] = static_cast<int32_t>(i * T / n);
  return tokens;
}

// A packed batch's queries, keys and values.
struct AttentionOperands {
  Tensor q, k, v, lse;
  std::vector<AttentionSequence> sequences;

  AttentionOperands(Operands& memory, const AttentionCallShape& s, DType C) {
    const int64_t T = s.tokens, rows = T + kAttentionPadding;
    const int64_t K = s.heads.kv_heads, G = s.heads.group, Dh = s.heads.head_dim;
    q = memory.Random(C, {K, T, G, Dh});
    k = memory.Random(C, {K, rows, Dh});
    v = memory.Random(C, {K, rows, Dh});
    lse = memory.Random(kF32, {K, T, G});
    for (int64_t begin = 0; begin < T; begin += s.sequence_length) {
      const int64_t n = std::min(s.sequence_length, T - begin);
      const auto at = [&](const Tensor& t) {
        return static_cast<const std::byte*>(t.data) + DTypeBytes(C, begin * Dh);
      };
      sequences.push_back({begin, n, n, at(k), at(v), rows * Dh});
    }
  }
};

// products: matrix products of the causal half, per head.
double AttentionFlops(const AttentionCallShape& s, int products) {
  const auto pairs = [](int64_t n) {
    return static_cast<double>(n) * static_cast<double>(n + 1) / 2;
  };
  const int64_t S = s.sequence_length, whole = s.tokens / S;
  const double all = static_cast<double>(whole) * pairs(S) + pairs(s.tokens % S);
  return all * static_cast<double>(s.heads.kv_heads * s.heads.group * s.heads.head_dim) * 2 *
         products;
}

std::string AttentionText(const AttentionCallShape& s) {
  return fmt::format("{} in {}s, {}/{} heads of {}", s.tokens, s.sequence_length,
                     s.heads.kv_heads * s.heads.group, s.heads.kv_heads, s.heads.head_dim);
}

struct HeadsOperands {
  HeadNorm norm;
  HeadRope rope;
  const HeadsShape shape;

  HeadsOperands(Operands& memory, const HeadsShape& s, DType C) : shape(s) {
    const int64_t T = s.tokens, heads = s.kv_heads * s.group;
    if (s.norm) {
      norm = {memory.Random(kF32, {s.head_dim}), 1e-6F, memory.Random(C, {T, heads * s.head_dim}),
              memory.Random(kF32, {T, heads})};
    }
    if (s.rope) {
      rope = {memory.Random(kF32, {T, s.head_dim / 2}), memory.Random(kF32, {T, s.head_dim / 2})};
    }
  }
  const HeadNorm* Norm() const { return shape.norm ? &norm : nullptr; }
  const HeadRope* Rope() const { return shape.rope ? &rope : nullptr; }
};

// Both ways: the heads in f32 and in C, the tables of rope, and of a norm xhat, rstd and w.
int64_t HeadsBytes(const HeadsShape& s, DType C) {
  const int64_t T = s.tokens, heads = s.kv_heads * s.group, all = T * heads * s.head_dim;
  return (kF32Bytes + Width(C)) * all + (s.rope ? kF32Bytes * T * s.head_dim : 0) +
         (s.norm ? Width(C) * all + kF32Bytes * (T * heads + s.head_dim) : 0);
}

std::string HeadsText(const HeadsShape& s) {
  return fmt::format("{} x {} x {} x {}{}{}", s.kv_heads, s.tokens, s.group, s.head_dim,
                     s.norm ? ", norm" : "", s.rope ? ", rope" : "");
}

}  // namespace

Tensor Operands::Zero(DType dtype, std::initializer_list<int64_t> shape) {
  if (buffers_.empty()) available_ = ReadMemory().available;
  taken_ += Tensor(nullptr, dtype, shape).bytes();
  if (taken_ > available_) {
    Fail(ErrorCode::kOutOfMemory,
         "the operands of a kernel take {} of memory and {} are available; give fewer --tokens, or "
         "a smaller model",
         HumanBytes(taken_), HumanBytes(available_));
  }
  buffers_.emplace_back(dtype, shape);
  return buffers_.back().tensor();
}

Tensor Operands::Random(DType dtype, std::initializer_list<int64_t> shape) {
  constexpr int64_t kPage = 4096;
  const Buffer page(dtype, {kPage});
  const RandomStream random(1, "kernel operands");
  for (int64_t i = 0; i < kPage; ++i) {
    const auto x = static_cast<float>(random.Uniform(static_cast<uint64_t>(i)) - 0.5);
    if (dtype == kF32) {
      page.tensor().as<float>()[i] = x;
    } else {
      page.tensor().as<bfloat16>()[i] = ToBfloat16(x);
    }
  }
  const Tensor tensor = Zero(dtype, shape);
  for (int64_t at = 0; at < tensor.bytes(); at += page.tensor().bytes()) {
    std::memcpy(static_cast<std::byte*>(tensor.data) + at, page.tensor().data,
                static_cast<size_t>(std::min(page.tensor().bytes(), tensor.bytes() - at)));
  }
  return tensor;
}

const std::vector<int32_t>& Operands::Tokens(int64_t count, int64_t vocab_size) {
  const RandomStream random(1, "kernel tokens");
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  for (size_t i = 0; i < tokens.size(); ++i) {
    tokens[i] = static_cast<int32_t>(random.Below(i, static_cast<uint64_t>(vocab_size)));
  }
  return tokens_.emplace_back(std::move(tokens));
}

KernelCall MatMulCall(const ProductShape& p) {
  KernelCall call =
      Call(ProductName("MatMul", p), Shape(p.m, p.n, p.k), 2 * p.m * p.n * p.k, ProductBytes(p));
  call.prepare = [p](Operands& memory) -> Run {
    const Factors f = MakeFactors(memory, p);
    return [p, f] { MatMul(f.a, f.b, f.c, p.kind, p.accumulate); };
  };
  return call;
}

KernelCall MatMulSumCall(const ProductShape& p, int64_t r) {
  KernelCall call =
      Call(ProductName("MatMulSum", p), fmt::format("{} x {} x ({} + {})", p.m, p.n, p.k, r),
           2 * p.m * p.n * (p.k + r), ProductBytes(p) + Width(p.operands) * (p.m * r + r * p.n));
  call.prepare = [p, r](Operands& memory) -> Run {
    const Factors f = MakeFactors(memory, p);
    const Tensor a2 = memory.Random(p.operands, {p.m, r}), b2 = memory.Random(p.operands, {r, p.n});
    return [p, f, a2, b2] {
      MatMulSum({f.a, f.b, p.kind}, {a2, b2, MatMulKind::kNN}, f.c, p.accumulate);
    };
  };
  return call;
}

KernelCall AttentionForwardCall(const AttentionCallShape& s, DType C) {
  const int64_t T = s.tokens, K = s.heads.kv_heads, G = s.heads.group, Dh = s.heads.head_dim;
  KernelCall call = Call("AttentionForward", AttentionText(s), 0,
                         Width(C) * T * K * Dh * (2 * G + 2) + kF32Bytes * T * K * G);
  call.flops = AttentionFlops(s, 2);  // scores and values
  call.prepare = [=](Operands& memory) -> Run {
    const AttentionOperands a(memory, s, C);
    const Tensor out = memory.Zero(C, {T, K * G * Dh});
    return [=] { AttentionForward(s.heads, a.q, a.sequences, out, a.lse); };
  };
  return call;
}

KernelCall AttentionBackwardCall(const AttentionCallShape& s, DType C) {
  const int64_t T = s.tokens, K = s.heads.kv_heads, G = s.heads.group, Dh = s.heads.head_dim;
  KernelCall call = Call("AttentionBackward", AttentionText(s), 0,
                         Width(C) * T * K * Dh * (G + 2) +                 // q, k, v
                             kF32Bytes * T * K * (G + Dh * (2 * G + 2)));  // lse; d of all four
  call.flops = AttentionFlops(s, 4);  // the scores computed again are not counted
  call.prepare = [=](Operands& memory) -> Run {
    const AttentionOperands a(memory, s, C);
    const Tensor dout = memory.Random(kF32, {T, K * G * Dh}), dq = memory.Zero(kF32, {K, T, G, Dh});
    const Tensor dk = memory.Zero(kF32, {K, T, Dh}), dv = memory.Zero(kF32, {K, T, Dh});
    return [=] { AttentionBackward(s.heads, dout, a.q, a.sequences, a.lse, dq, dk, dv); };
  };
  return call;
}

KernelCall SplitHeadsForwardCall(const HeadsShape& s, DType C) {
  const int64_t T = s.tokens, all = T * s.kv_heads * s.group * s.head_dim;
  KernelCall call = Call("SplitHeadsForward", HeadsText(s),
                         all * ((s.rope ? 3 : 0) + (s.norm ? 4 : 0)), HeadsBytes(s, C));
  call.prepare = [=](Operands& memory) -> Run {
    const HeadsOperands h(memory, s, C);
    const Tensor in = memory.Random(kF32, {T, all / T});
    const Tensor out = memory.Zero(C, {s.kv_heads, T, s.group, s.head_dim});
    return [=] { SplitHeadsForward(in, h.Norm(), h.Rope(), out); };
  };
  return call;
}

KernelCall SplitHeadsBackwardCall(const HeadsShape& s, DType C, bool with_dw) {
  const int64_t T = s.tokens, all = T * s.kv_heads * s.group * s.head_dim;
  const bool dw_too = with_dw && s.norm;
  KernelCall call = Call("SplitHeadsBackward", HeadsText(s) + (dw_too ? ", dw" : ""),
                         all * ((s.rope ? 3 : 0) + (s.norm ? 7 : 0) + (dw_too ? 2 : 0)),
                         HeadsBytes(s, C) + (dw_too ? 2 * kF32Bytes * s.head_dim : 0));
  call.prepare = [=](Operands& memory) -> Run {
    const HeadsOperands h(memory, s, C);
    const Tensor dout = memory.Random(kF32, {s.kv_heads, T, s.group, s.head_dim});
    const Tensor din = memory.Zero(C, {T, all / T});
    const Tensor dw = dw_too ? memory.Zero(kF32, {s.head_dim}) : Tensor();
    return [=] { SplitHeadsBackward(dout, h.Norm(), h.Rope(), din, dw); };
  };
  return call;
}

KernelCall RmsNormForwardCall(int64_t T, int64_t D, DType C) {
  KernelCall call = Call("RmsNormForward", Shape(T, D), 4 * T * D,
                         kF32Bytes * (T * D + D + T) + 2 * Width(C) * T * D);
  call.prepare = [=](Operands& memory) -> Run {
    const Tensor x = memory.Random(kF32, {T, D}), w = memory.Random(kF32, {D});
    const Tensor xhat = memory.Zero(C, {T, D}), y = memory.Zero(C, {T, D});
    const Tensor rstd = memory.Zero(kF32, {T});
    return [=] { RmsNormForward(x, w, 1e-5F, xhat, y, rstd); };
  };
  return call;
}

KernelCall RmsNormScaleCall(int64_t T, int64_t D, DType C) {
  KernelCall call = Call("RmsNormScale", Shape(T, D), T * D, 2 * Width(C) * T * D + kF32Bytes * D);
  call.prepare = [=](Operands& memory) -> Run {
    const Tensor xhat = memory.Random(C, {T, D}), w = memory.Random(kF32, {D});
    const Tensor y = memory.Zero(C, {T, D});
    return [=] { RmsNormScale(xhat, w, y); };
  };
  return call;
}

KernelCall RmsNormBackwardCall(int64_t T, int64_t D, DType C, bool with_dw) {
  KernelCall call =
      Call("RmsNormBackward", Shape(T, D) + (with_dw ? ", dw" : ""), (with_dw ? 9 : 7) * T * D,
           kF32Bytes * (3 * T * D + D + T + (with_dw ? 2 * D : 0)) + Width(C) * T * D);
  call.prepare = [=](Operands& memory) -> Run {
    const Tensor dy = memory.Random(kF32, {T, D}), xhat = memory.Random(C, {T, D});
    const Tensor w = memory.Random(kF32, {D}), rstd = memory.Random(kF32, {T});
    const Tensor dx = memory.Zero(kF32, {T, D});
    const Tensor dw = with_dw ? memory.Zero(kF32, {D}) : Tensor();
    return [=] { RmsNormBackward(dy, xhat, w, rstd, dx, dw); };
  };
  return call;
}

KernelCall SwigluForwardCall(int64_t T, int64_t F, DType C) {
  KernelCall call =
      Call("SwigluForward", Shape(T, F), 4 * T * F, 2 * kF32Bytes * T * F + 3 * Width(C) * T * F);
  call.prepare = [=](Operands& memory) -> Run {
    const Tensor gate = memory.Random(kF32, {T, F}), up = memory.Random(kF32, {T, F});
    const Tensor gate_c = memory.Zero(C, {T, F}), up_c = memory.Zero(C, {T, F});
    const Tensor h = memory.Zero(C, {T, F});
    return [=] { SwigluForward(gate, up, gate_c, up_c, h); };
  };
  return call;
}

KernelCall SwigluRecomputeCall(int64_t T, int64_t F, DType C) {
  KernelCall call = Call("SwigluRecompute", Shape(T, F), 4 * T * F, 3 * Width(C) * T * F);
  call.prepare = [=](Operands& memory) -> Run {
    const Tensor gate = memory.Random(C, {T, F}), up = memory.Random(C, {T, F});
    const Tensor h = memory.Zero(C, {T, F});
    return [=] { SwigluRecompute(gate, up, h); };
  };
  return call;
}

KernelCall SwigluBackwardCall(int64_t T, int64_t F, DType C) {
  KernelCall call =
      Call("SwigluBackward", Shape(T, F), 11 * T * F, kF32Bytes * T * F + 5 * Width(C) * T * F);
  call.prepare = [=](Operands& memory) -> Run {
    const Tensor dh = memory.Random(kF32, {T, F});
    const Tensor gate = memory.Random(C, {T, F}), up = memory.Random(C, {T, F});
    const Tensor dgate = memory.Zero(C, {T, F}), dup = memory.Zero(C, {T, F});
    const Tensor h = memory.Zero(C, {T, F});
    return [=] { SwigluBackward(dh, gate, up, dgate, dup, h); };
  };
  return call;
}

KernelCall WeightedSwigluForwardCall(int64_t T, int64_t F, DType C) {
  KernelCall call =
      Call("WeightedSwigluForward", Shape(T, F), 5 * T * F, 3 * Width(C) * T * F + kF32Bytes * T);
  call.prepare = [=](Operands& memory) -> Run {
    const Tensor gate = memory.Random(C, {T, F}), up = memory.Random(C, {T, F});
    const Tensor weights = memory.Random(kF32, {T}), h = memory.Zero(C, {T, F});
    return [=] { WeightedSwigluForward(gate, up, weights, h); };
  };
  return call;
}

KernelCall WeightedSwigluBackwardCall(int64_t T, int64_t F, DType C) {
  KernelCall call = Call("WeightedSwigluBackward", Shape(T, F), 15 * T * F,
                         kF32Bytes * (T * F + 2 * T) + 5 * Width(C) * T * F);
  call.prepare = [=](Operands& memory) -> Run {
    const Tensor dh = memory.Random(kF32, {T, F}), weights = memory.Random(kF32, {T});
    const Tensor gate = memory.Random(C, {T, F}), up = memory.Random(C, {T, F});
    const Tensor dgate = memory.Zero(C, {T, F}), dup = memory.Zero(C, {T, F});
    const Tensor h = memory.Zero(C, {T, F}), dweights = memory.Zero(kF32, {T});
    return [=] { WeightedSwigluBackward(dh, gate, up, weights, dgate, dup, h, dweights); };
  };
  return call;
}

KernelCall RouteForwardCall(const RouteShape& s) {
  const int64_t T = s.tokens, E = s.experts, k = s.active;
  KernelCall call = Call("RouteForward", RouteText(s), (4 + k) * T * E,
                         kF32Bytes * (2 * T * E + 4 * T * k + E + 1));
  call.prepare = [=](Operands& memory) -> Run {
    const Tensor logits = memory.Random(kF32, {T, E});
    const Routing routing = MakeRouting(memory, s);
    return [=] { RouteForward(logits, true, routing); };
  };
  return call;
}

KernelCall RouteBackwardCall(const RouteShape& s, DType C) {
  const int64_t T = s.tokens, E = s.experts, k = s.active;
  KernelCall call = Call("RouteBackward", RouteText(s), T * E + 4 * T * k,
                         kF32Bytes * (T * E + 4 * T * k) + Width(C) * T * E);
  call.prepare = [=](Operands& memory) -> Run {
    const Tensor logits = memory.Random(kF32, {T, E}), dweights = memory.Random(kF32, {T * k});
    const Tensor dlogits = memory.Zero(C, {T, E});
    const Routing routing = MakeRouting(memory, s);
    RouteForward(logits, true, routing);
    return [=] { RouteBackward(routing, dweights, true, dlogits); };
  };
  return call;
}

KernelCall GatherRowsCall(int64_t T, int64_t n, int64_t D, DType from, DType to) {
  KernelCall call = Call("GatherRows", fmt::format("{} x {} of {}", n, D, T), 0,
                         kF32Bytes * n + (Width(from) + Width(to)) * n * D);
  if (from != to) call.kernel += " to " + std::string(DTypeName(to));
  call.prepare = [=](Operands& memory) -> Run {
    const Tensor x = memory.Random(from, {T, D}), out = memory.Zero(to, {n, D});
    return [=, tokens = Spread(T, n)] { GatherRows(x, tokens, out); };
  };
  return call;
}

KernelCall AddToRowsCall(int64_t T, int64_t n, int64_t D) {
  KernelCall call =
      Call("AddToRows", fmt::format("{} x {} of {}", n, D, T), n * D, kF32Bytes * (n + 3 * n * D));
  call.prepare = [=](Operands& memory) -> Run {
    const Tensor rows = memory.Random(kF32, {n, D}), sums = memory.Zero(kF32, {T, D});
    return [=, tokens = Spread(T, n)] { AddToRows(rows, tokens, sums); };
  };
  return call;
}

KernelCall TargetLogprobsCall(int64_t rows, int64_t V) {
  KernelCall call =
      Call("TargetLogprobs", Shape(rows, V), 4 * rows * V, kF32Bytes * (rows * V + 3 * rows));
  call.prepare = [=](Operands& memory) -> Run {
    const Tensor logits = memory.Random(kF32, {rows, V});
    const Tensor logprob = memory.Zero(kF32, {rows}), lse = memory.Zero(kF32, {rows});
    const std::vector<int32_t>& targets = memory.Tokens(rows, V);
    return [=, &targets] { TargetLogprobs(logits, targets, logprob, lse); };
  };
  return call;
}

KernelCall LogprobBackwardCall(int64_t rows, int64_t V, DType C) {
  KernelCall call = Call("LogprobBackward", Shape(rows, V), 3 * rows * V,
                         kF32Bytes * (rows * V + 3 * rows) + Width(C) * rows * V);
  call.prepare = [=](Operands& memory) -> Run {
    const Tensor logits = memory.Random(kF32, {rows, V}), lse = memory.Random(kF32, {rows});
    const Tensor g = memory.Random(kF32, {rows}), dlogits = memory.Zero(C, {rows, V});
    const std::vector<int32_t>& targets = memory.Tokens(rows, V);
    return [=, &targets] { LogprobBackward(logits, targets, lse, g, dlogits); };
  };
  return call;
}

KernelCall ConvertCall(int64_t T, int64_t D, DType C) {
  KernelCall call = Call("Convert", Shape(T, D), 0, (kF32Bytes + Width(C)) * T * D);
  call.prepare = [=](Operands& memory) -> Run {
    const Tensor from = memory.Random(kF32, {T, D}), to = memory.Zero(C, {T, D});
    return [=] { Convert(from, to); };
  };
  return call;
}

KernelCall ScaleCastTransposeCall(int64_t T, int64_t R, DType C) {
  KernelCall call =
      Call("ScaleCastTranspose", Shape(T, R), T * R, (kF32Bytes + 2 * Width(C)) * T * R);
  call.prepare = [=](Operands& memory) -> Run {
    const Tensor in = memory.Random(kF32, {T, R});
    const Tensor out = memory.Zero(C, {T, R}), out_t = memory.Zero(C, {R, T});
    return [=] { ScaleCastTranspose(in, 2.0F, out, out_t); };
  };
  return call;
}

KernelCall EmbeddingForwardCall(int64_t T, int64_t V, int64_t D, DType C) {
  KernelCall call = Call("EmbeddingForward", fmt::format("{} x {} of {}", T, D, V), 0,
                         kF32Bytes * (T + T * D) + Width(C) * T * D);
  call.prepare = [=](Operands& memory) -> Run {
    const Tensor table = memory.Random(C, {V, D}), residual = memory.Zero(kF32, {T, D});
    const std::vector<int32_t>& tokens = memory.Tokens(T, V);
    return [=, &tokens] { EmbeddingForward(tokens, table, residual); };
  };
  return call;
}

KernelCall EmbeddingBackwardCall(int64_t T, int64_t V, int64_t D) {
  KernelCall call = Call("EmbeddingBackward", fmt::format("{} x {} of {}", T, D, V), T * D,
                         kF32Bytes * (T + 3 * T * D));
  call.prepare = [=](Operands& memory) -> Run {
    const Tensor d = memory.Random(kF32, {T, D}), dtable = memory.Zero(kF32, {V, D});
    const std::vector<int32_t>& tokens = memory.Tokens(T, V);
    return [=, &tokens] { EmbeddingBackward(tokens, d, dtable); };
  };
  return call;
}

KernelCall SumOfSquaresCall(int64_t size) {
  KernelCall call = Call("SumOfSquares", Shape(size), 2 * size, kF32Bytes * size);
  call.prepare = [=](Operands& memory) -> Run {
    const Tensor x = memory.Random(kF32, {size});
    return [x] { CHECK(!std::isnan(SumOfSquares(x))); };  // keeps the sum alive
  };
  return call;
}

KernelCall AdamWCall(int64_t size, bool with_bf16) {
  KernelCall call = Call(with_bf16 ? "AdamWUpdate and bf16" : "AdamWUpdate", Shape(size), 15 * size,
                         (7 * kF32Bytes + (with_bf16 ? 2 : 0)) * size);
  call.prepare = [=](Operands& memory) -> Run {
    const Tensor param = memory.Random(kF32, {size}), grad = memory.Random(kF32, {size});
    const Tensor m = memory.Zero(kF32, {size}), v = memory.Zero(kF32, {size});
    const Tensor copy = with_bf16 ? memory.Zero(DType::kBF16, {size}) : Tensor();
    return [=] { AdamWUpdate(param, grad, m, v, {.learning_rate = 1e-6}, copy); };
  };
  return call;
}

}  // namespace lorikeet
