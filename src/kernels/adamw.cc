#include "kernels/adamw.h"

#include <atomic>
#include <cmath>
#include <vector>

#include "kernels/rows.h"
#include "kernels/trace.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/adamw.cc"
#include <hwy/foreach_target.h>
// foreach_target.h first
#include "kernels/simd-inl.h"

#ifndef LORIKEET_KERNELS_ADAMW_CC_ONCE_
#define LORIKEET_KERNELS_ADAMW_CC_ONCE_
namespace lorikeet {
namespace {
// The factors of a step, computed from AdamWParams in f64 and rounded once.
struct AdamWFactors {
  float grad_scale, decay, one_minus_beta1, beta2, one_minus_beta2;
  float minus_step_size, sqrt_correction2, eps;
};
}  // namespace
}  // namespace lorikeet
#endif

HWY_BEFORE_NAMESPACE();
namespace lorikeet::HWY_NAMESPACE {
namespace {

void Update(const AdamWFactors& f, float* param, const float* grad, float* m, float* v, int64_t n,
            bfloat16* copy) {
  ForVectors(n, [=](auto lanes, int64_t i) HWY_ATTR {
    const Vec g = hn::Mul(lanes.Load(grad + i), Set(f.grad_scale));
    const Vec m0 = lanes.Load(m + i);
    const Vec m1 = hn::MulAdd(Set(f.one_minus_beta1), hn::Sub(g, m0), m0);
    const Vec v0 = hn::Mul(lanes.Load(v + i), Set(f.beta2));
    const Vec v1 = hn::MulAdd(hn::Mul(Set(f.one_minus_beta2), g), g, v0);
    const Vec root = hn::Div(hn::Sqrt(v1), Set(f.sqrt_correction2));
    const Vec step = hn::Div(hn::Mul(Set(f.minus_step_size), m1), hn::Add(root, Set(f.eps)));
    const Vec p1 = hn::MulAdd(lanes.Load(param + i), Set(f.decay), step);
    lanes.Store(m1, m + i);
    lanes.Store(v1, v + i);
    lanes.Store(p1, param + i);
    if (copy != nullptr) lanes.Store(p1, copy + i);
  });
}

double Squares(const float* x, int64_t n) {
  const hn::ScalableTag<double> d64;
  const hn::Rebind<float, decltype(d64)> d32;
  const auto N = static_cast<int64_t>(hn::Lanes(d64));
  auto a = hn::Zero(d64), b = hn::Zero(d64);
  int64_t i = 0;
  for (; i + 2 * N <= n; i += 2 * N) {
    const auto low = hn::PromoteTo(d64, hn::LoadU(d32, x + i));
    const auto high = hn::PromoteTo(d64, hn::LoadU(d32, x + i + N));
    a = hn::MulAdd(low, low, a);
    b = hn::MulAdd(high, high, b);
  }
  double sum = hn::GetLane(hn::SumOfLanes(d64, hn::Add(a, b)));
  for (; i < n; ++i) sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  return sum;
}

// 0 * x is a zero for a finite x only, and NaN stays in the sum.
bool Finite(const float* x, int64_t n) {
  const float sum = SumVectors(n, [=](auto lanes, int64_t i, Vec acc) HWY_ATTR {
    return hn::MulAdd(lanes.Load(x + i), Set(0), acc);
  });
  return sum == 0.0F;
}

}  // namespace
}  // namespace lorikeet::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lorikeet {
namespace {
HWY_EXPORT(Update);
HWY_EXPORT(Squares);
HWY_EXPORT(Finite);

AdamWFactors FactorsOf(const AdamWParams& params) {
  const auto step = static_cast<double>(params.step);
  const double correction1 = 1.0 - std::pow(params.beta1, step);
  const double correction2 = 1.0 - std::pow(params.beta2, step);
  return {
      .grad_scale = static_cast<float>(params.grad_scale),
      .decay = static_cast<float>(1.0 - params.learning_rate * params.weight_decay),
      .one_minus_beta1 = static_cast<float>(1.0 - params.beta1),
      .beta2 = static_cast<float>(params.beta2),
      .one_minus_beta2 = static_cast<float>(1.0 - params.beta2),
      .minus_step_size = static_cast<float>(-params.learning_rate / correction1),
      .sqrt_correction2 = static_cast<float>(std::sqrt(correction2)),
      .eps = static_cast<float>(params.eps),
  };
}
}  // namespace

void AdamWUpdate(const Tensor& param, const Tensor& grad, const Tensor& m, const Tensor& v,
                 const AdamWParams& params, const Tensor& param_bf16) {
  const int64_t size = param.size();
  const Kernel here(
      [&] {
        return KernelCall{param_bf16 ? "AdamWUpdate and bf16" : "AdamWUpdate",
                          "optimizer",
                          {"{}", {size}},
                          15 * size,
                          BytesOf(param, param, grad, m, m, v, v, param_bf16)};
      },
      [&] {
        return Replay([=](const Relocate& at) {
          AdamWUpdate(at(param), at(grad), at(m), at(v), params, at(param_bf16));
        });
      });
  CHECK(grad.size() == size && m.size() == size && v.size() == size && params.step >= 1);
  CHECK(!param_bf16 || param_bf16.size() == size);
  if (here.dry()) return;
  const AdamWFactors factors = FactorsOf(params);
  float* p = param.as<float>();
  const float* g = grad.as<float>();
  float* first = m.as<float>();
  float* second = v.as<float>();
  bfloat16* copy = param_bf16 ? param_bf16.as<bfloat16>() : nullptr;
  ParallelElements(size, [&](int64_t i, int64_t n) {
    HWY_DYNAMIC_DISPATCH(Update)
    (factors, p + i, g + i, first + i, second + i, n, copy == nullptr ? nullptr : copy + i);
  });
}

double SumOfSquares(const Tensor& x) {
  const Kernel here(
      [&] {
        return KernelCall{
            "SumOfSquares", "optimizer", {"{}", {x.size()}}, 2 * x.size(), BytesOf(x)};
      },
      [&] { return Replay([=](const Relocate& at) { SumOfSquares(at(x)); }); });
  if (here.dry()) return 0;
  constexpr int64_t kPiece = 8192;
  const int64_t size = x.size(), pieces = (size + kPiece - 1) / kPiece;
  const float* data = x.as<float>();
  std::vector<double> sums(static_cast<size_t>(pieces));
  ParallelRanges(pieces, 4, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t n = std::min(kPiece, size - i * kPiece);
      sums[i] = HWY_DYNAMIC_DISPATCH(Squares)(data + i * kPiece, n);
    }
  });
  double sum = 0;
  for (const double piece : sums) sum += piece;
  return sum;
}

bool AllFinite(const Tensor& x) {
  const Kernel here(
      [&] {
        return KernelCall{"AllFinite", "", {"{}", {x.size()}}, x.size(), BytesOf(x)};
      },
      [&] { return Replay([=](const Relocate& at) { AllFinite(at(x)); }); });
  if (here.dry()) return true;
  const float* data = x.as<float>();
  std::atomic<bool> finite = true;
  ParallelElements(x.size(), [&](int64_t begin, int64_t n) {
    if (!HWY_DYNAMIC_DISPATCH(Finite)(data + begin, n)) finite = false;
  });
  return finite;
}

}  // namespace lorikeet
#endif  // HWY_ONCE
