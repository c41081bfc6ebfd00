#include "kernels/cross_entropy.h"

#include <cmath>
#include <limits>

#include "kernels/rows.h"
#include "kernels/trace.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cross_entropy.cc"
#include <hwy/foreach_target.h>
// foreach_target.h first
#include <hwy/contrib/math/math-inl.h>

#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lorikeet::HWY_NAMESPACE {
namespace {

// Elements that are summed in f32 lanes before the sum moves on in f64. Fits the first cache, so
// that a row is read from memory once for its maximum and its sum.
constexpr int64_t kPiece = 2048;
constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

float MaxOf(const float* x, int64_t n, float floor) {
  Vec a = Set(floor), b = a;
  const int64_t N = Lanes();
  int64_t i = 0;
  for (; i + 2 * N <= n; i += 2 * N) {
    a = hn::Max(a, Load(x + i));
    b = hn::Max(b, Load(x + i + N));
  }
  for (; i + N <= n; i += N) a = hn::Max(a, Load(x + i));
  if (i < n) b = hn::Max(b, Part{n - i}.Load(x + i, kMinusInfinity));
  return hn::GetLane(hn::MaxOfLanes(F32(), hn::Max(a, b)));
}

struct SoftmaxSum {
  double max, log_sum;  // log(sum(exp(x))) = max + log_sum
};

// The running maximum starts at the lowest finite number: rows that begin with masked (-infinity)
// logits stay sound, and NaN survives in the sum.
SoftmaxSum LogSumExp(const float* x, int64_t V) {
  float max = std::numeric_limits<float>::lowest();
  double sum = 0;
  for (int64_t begin = 0; begin < V; begin += kPiece) {
    const int64_t n = HWY_MIN(kPiece, V - begin);
    const float larger = MaxOf(x + begin, n, max);
    if (larger > max) {
      sum *= std::exp(static_cast<double>(max) - static_cast<double>(larger));
      max = larger;
    }
    const Vec shift = Set(max);
    sum += SumVectors(n, [=](auto lanes, int64_t i, Vec acc) HWY_ATTR {
      const Vec v = lanes.Load(x + begin + i, kMinusInfinity);
      return hn::Add(acc, ExpNonPositive(hn::Sub(v, shift)));
    });
  }
  return {max, std::log(sum)};
}

void LogprobRows(const float* logits, int64_t V, const int32_t* targets, float* logprob, float* lse,
                 int64_t begin, int64_t end) {
  for (int64_t r = begin; r < end; ++r) {
    const float* x = logits + r * V;
    const SoftmaxSum s = LogSumExp(x, V);
    lse[r] = static_cast<float>(s.max + s.log_sum);
    logprob[r] = static_cast<float>(static_cast<double>(x[targets[r]]) - s.max - s.log_sum);
  }
}

void TokenRows(const float* logits, int64_t V, const int32_t* tokens, int64_t each, float* logprob,
               int64_t begin, int64_t end) {
  for (int64_t r = begin; r < end; ++r) {
    const float* x = logits + r * V;
    const SoftmaxSum s = LogSumExp(x, V);
    for (int64_t i = r * each; i < (r + 1) * each; ++i) {
      logprob[i] = static_cast<float>(static_cast<double>(x[tokens[i]]) - s.max - s.log_sum);
    }
  }
}

// 1 - (x / cap)^2, the slope of a capped logit.
HWY_INLINE Vec CapSlope(Vec x, float inverse_cap) {
  const Vec tanh = hn::Mul(x, Set(inverse_cap));
  return hn::NegMulAdd(tanh, tanh, Set(1));
}

template <bool kCapped, class C>
void GradientRow(const float* x, int64_t V, int32_t target, float lse, float g, float inverse_cap,
                 C* dx) {
  // x may be dx: read the target's logit before it is overwritten.
  double at_target = -std::expm1(static_cast<double>(x[target]) - lse);  // 1 - softmax
  if (kCapped) {
    const double tanh = static_cast<double>(x[target]) * inverse_cap;
    at_target *= 1 - tanh * tanh;
  }
  const Vec shift = Set(lse), factor = Set(-g);
  ForVectors(V, [=](auto lanes, int64_t i) HWY_ATTR {
    const Vec logit = lanes.Load(x + i);
    Vec p = ExpNonPositive(hn::Sub(logit, shift));
    if (kCapped) p = hn::Mul(p, CapSlope(logit, inverse_cap));
    lanes.Store(hn::Mul(factor, p), dx + i);
  });
  dx[target] = FromFloat<C>(static_cast<float>(g * at_target));
}

template <class C>
void GradientRowsAs(const float* logits, const int32_t* targets, const float* lse, const float* g,
                    float inverse_cap, int64_t V, C* dlogits, int64_t begin, int64_t end) {
  const auto row = inverse_cap > 0 ? GradientRow<true, C> : GradientRow<false, C>;
  for (int64_t r = begin; r < end; ++r) {
    row(logits + r * V, V, targets[r], lse[r], g[r], inverse_cap, dlogits + r * V);
  }
}

void GradientRows(const float* logits, const int32_t* targets, const float* lse, const float* g,
                  float inverse_cap, const Tensor& dlogits, int64_t begin, int64_t end) {
  const int64_t V = dlogits.cols();
  if (dlogits.dtype == DType::kF32) {
    GradientRowsAs(logits, targets, lse, g, inverse_cap, V, dlogits.as<float>(), begin, end);
  } else {
    GradientRowsAs(logits, targets, lse, g, inverse_cap, V, dlogits.as<bfloat16>(), begin, end);
  }
}

void CapRange(float* x, float cap, int64_t begin, int64_t n) {
  const Vec inverse = Set(1 / cap), scale = Set(cap);
  float* from = x + begin;
  ForVectors(n, [=](auto lanes, int64_t i) HWY_ATTR {
    const Vec tanh = hn::Tanh(F32(), hn::Mul(lanes.Load(from + i), inverse));
    lanes.Store(hn::Mul(scale, tanh), from + i);
  });
}

void EntropyRows(const float* logits, int64_t V, const float* lse, float* entropy, int64_t begin,
                 int64_t end) {
  for (int64_t r = begin; r < end; ++r) {
    const float* x = logits + r * V;
    const Vec shift = Set(lse[r]);
    double sum = 0;  // sum of p log p
    for (int64_t piece = 0; piece < V; piece += kPiece) {
      const int64_t n = HWY_MIN(kPiece, V - piece);
      sum += SumVectors(n, [=](auto lanes, int64_t i, Vec acc) HWY_ATTR {
        const Vec logp = hn::Sub(lanes.Load(x + piece + i, kMinusInfinity), shift);
        const Vec term = hn::Mul(ExpNonPositive(logp), logp);
        return hn::Add(acc, hn::IfThenZeroElse(hn::Lt(logp, Set(-87.3F)), term));  // 0 log 0 = 0
      });
    }
    entropy[r] = static_cast<float>(-sum);
  }
}

// The larger of the two, and the first where one is NaN.
HWY_INLINE Vec Larger(Vec best, Vec v) { return hn::IfThenElse(hn::Gt(v, best), v, best); }

float LargestOf(const float* x, int64_t n) {
  const int64_t N = Lanes();
  Vec a = Set(kMinusInfinity), b = a, c = a, d = a;
  int64_t i = 0;
  for (; i + 4 * N <= n; i += 4 * N) {
    a = Larger(a, Load(x + i));
    b = Larger(b, Load(x + i + N));
    c = Larger(c, Load(x + i + 2 * N));
    d = Larger(d, Load(x + i + 3 * N));
  }
  for (; i + N <= n; i += N) a = Larger(a, Load(x + i));
  if (i < n) b = Larger(b, Part{n - i}.Load(x + i, kMinusInfinity));
  return hn::GetLane(hn::MaxOfLanes(F32(), Larger(Larger(a, b), Larger(c, d))));
}

// The first piece with the largest maximum, and in it the first element that is that maximum.
int32_t ArgmaxRow(const float* x, int64_t V) {
  float best = kMinusInfinity;
  int64_t piece = 0;
  for (int64_t begin = 0; begin < V; begin += kPiece) {
    const float largest = LargestOf(x + begin, HWY_MIN(kPiece, V - begin));
    if (largest > best) {
      best = largest;
      piece = begin;
    }
  }
  if (best == kMinusInfinity) return 0;
  while (x[piece] != best) ++piece;
  return static_cast<int32_t>(piece);
}

void ArgmaxRows(const float* logits, int64_t V, int32_t* index, int64_t begin, int64_t end) {
  for (int64_t r = begin; r < end; ++r) index[r] = ArgmaxRow(logits + r * V, V);
}

}  // namespace
}  // namespace lorikeet::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lorikeet {
namespace {
HWY_EXPORT(LogprobRows);
HWY_EXPORT(TokenRows);
HWY_EXPORT(GradientRows);
HWY_EXPORT(CapRange);
HWY_EXPORT(EntropyRows);
HWY_EXPORT(ArgmaxRows);

constexpr int64_t kIndex = sizeof(int32_t);  // bytes of a target

template <class Fn>
void OverRows(const Tensor& logits, const Fn& fn) {
  ParallelRanges(logits.rows(), RowGrain(logits.cols()), fn);
}

void CheckTargets(const Tensor& logits, std::span<const int32_t> targets) {
  CHECK(logits.rank == 2 && logits.rows() == static_cast<int64_t>(targets.size()));
  for (const int32_t target : targets) CHECK(target >= 0 && target < logits.cols());
}
}  // namespace

void TargetLogprobs(const Tensor& logits, std::span<const int32_t> targets, const Tensor& logprob,
                    const Tensor& lse) {
  const Kernel here(
      [&] {
        return KernelCall{"TargetLogprobs",
                          "cross-entropy",
                          {"{} x {}", {logits.rows(), logits.cols()}},
                          4 * logits.size(),
                          BytesOf(logits, logprob, lse) + kIndex * logits.rows()};
      },
      [&] {
        return Replay([=](const Relocate& at) {
          TargetLogprobs(at(logits), at.Tokens(targets, logits.cols()), at(logprob), at(lse));
        });
      });
  CheckTargets(logits, targets);
  CHECK(logprob.size() == logits.rows() && lse.size() == logits.rows());
  if (here.dry()) return;
  const float* x = logits.as<float>();
  OverRows(logits, [&, out = logprob.as<float>(), sum = lse.as<float>()](int64_t a, int64_t b) {
    HWY_DYNAMIC_DISPATCH(LogprobRows)(x, logits.cols(), targets.data(), out, sum, a, b);
  });
}

void TokenLogprobs(const Tensor& logits, std::span<const int32_t> tokens, const Tensor& logprob) {
  const Kernel here(
      [&] {
        return KernelCall{"TokenLogprobs",
                          "cross-entropy",
                          {"{} x {}", {logits.rows(), logits.cols()}},
                          4 * logits.size(),
                          BytesOf(logits, logprob) + kIndex * std::ssize(tokens)};
      },
      [&] {
        return Replay([=](const Relocate& at) {
          TokenLogprobs(at(logits), at.Tokens(tokens, logits.cols()), at(logprob));
        });
      });
  CHECK(logits.rank == 2 && logprob.rows() == logits.rows());
  CHECK(logprob.size() == std::ssize(tokens));
  for (const int32_t token : tokens) CHECK(token >= 0 && token < logits.cols());
  if (here.dry()) return;
  const float* x = logits.as<float>();
  OverRows(logits, [&, out = logprob.as<float>()](int64_t a, int64_t b) {
    HWY_DYNAMIC_DISPATCH(TokenRows)(x, logits.cols(), tokens.data(), logprob.cols(), out, a, b);
  });
}

void LogprobBackward(const Tensor& logits, std::span<const int32_t> targets, const Tensor& lse,
                     const Tensor& g, const Tensor& dlogits, float inverse_cap) {
  const Kernel here(
      [&] {
        return KernelCall{"LogprobBackward",
                          "cross-entropy",
                          {"{} x {}", {logits.rows(), logits.cols()}},
                          (inverse_cap > 0 ? 6 : 3) * logits.size(),
                          BytesOf(logits, lse, g, dlogits) + kIndex * logits.rows()};
      },
      [&] {
        return Replay([=](const Relocate& at) {
          LogprobBackward(at(logits), at.Tokens(targets, logits.cols()), at(lse), at(g),
                          at(dlogits), inverse_cap);
        });
      });
  CheckTargets(logits, targets);
  CHECK(lse.size() == logits.rows() && g.size() == logits.rows());
  CHECK(SameShape(logits, dlogits) && IsCompute(dlogits));
  if (here.dry()) return;
  const float* x = logits.as<float>();
  OverRows(logits, [&, sum = lse.as<float>(), scale = g.as<float>()](int64_t a, int64_t b) {
    HWY_DYNAMIC_DISPATCH(GradientRows)
    (x, targets.data(), sum, scale, inverse_cap, dlogits, a, b);
  });
}

void RowEntropy(const Tensor& logits, const Tensor& lse, const Tensor& entropy) {
  const Kernel here(
      [&] {
        return KernelCall{"RowEntropy",
                          "",
                          {"{} x {}", {logits.rows(), logits.cols()}},
                          4 * logits.size(),
                          BytesOf(logits, lse, entropy)};
      },
      [&] {
        return Replay([=](const Relocate& at) { RowEntropy(at(logits), at(lse), at(entropy)); });
      });
  CHECK(logits.rank == 2 && lse.size() == logits.rows() && entropy.size() == logits.rows());
  if (here.dry()) return;
  const float* x = logits.as<float>();
  OverRows(logits, [&, sum = lse.as<float>(), out = entropy.as<float>()](int64_t a, int64_t b) {
    HWY_DYNAMIC_DISPATCH(EntropyRows)(x, logits.cols(), sum, out, a, b);
  });
}

void ScaleLogits(const Tensor& logits, float factor) {
  const Kernel here(
      [&] {
        return KernelCall{"ScaleLogits",
                          "",
                          {"{} x {}", {logits.rows(), logits.cols()}},
                          logits.size(),
                          BytesOf(logits, logits)};
      },
      [&] { return Replay([=](const Relocate& at) { ScaleLogits(at(logits), factor); }); });
  if (here.dry()) return;
  float* x = logits.as<float>();
  OverRows(logits, [&, V = logits.cols()](int64_t a, int64_t b) {
    for (int64_t i = a * V; i < b * V; ++i) x[i] *= factor;
  });
}

void CapLogits(const Tensor& logits, float cap) {
  const Kernel here(
      [&] {
        return KernelCall{"CapLogits",
                          "soft cap",
                          {"{} x {}", {logits.rows(), logits.cols()}},
                          3 * logits.size(),
                          BytesOf(logits, logits)};
      },
      [&] { return Replay([=](const Relocate& at) { CapLogits(at(logits), cap); }); });
  CHECK(logits.dtype == DType::kF32 && cap > 0);
  if (here.dry()) return;
  ParallelElements(logits.size(), [&](int64_t begin, int64_t n) {
    HWY_DYNAMIC_DISPATCH(CapRange)(logits.as<float>(), cap, begin, n);
  });
}

void RowArgmax(const Tensor& logits, std::span<int32_t> index) {
  const Kernel here(
      [&] {
        return KernelCall{"RowArgmax",
                          "",
                          {"{} x {}", {logits.rows(), logits.cols()}},
                          logits.size(),
                          BytesOf(logits) + kIndex * logits.rows()};
      },
      [&] {
        return Replay([=](const Relocate& at) {
          std::vector<int32_t> found(static_cast<size_t>(logits.rows()));
          RowArgmax(at(logits), found);
        });
      });
  CHECK(logits.rank == 2 && logits.rows() == static_cast<int64_t>(index.size()));
  CHECK(logits.cols() > 0 || logits.rows() == 0);
  if (here.dry()) {
    std::fill(index.begin(), index.end(), 0);
    return;
  }
  const float* x = logits.as<float>();
  OverRows(logits, [&](int64_t a, int64_t b) {
    HWY_DYNAMIC_DISPATCH(ArgmaxRows)(x, logits.cols(), index.data(), a, b);
  });
}

}  // namespace lorikeet
#endif  // HWY_ONCE
