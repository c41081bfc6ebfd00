#include "kernels/rms_norm.h"

#include <cmath>

#include "kernels/rows.h"
#include "kernels/trace.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/rms_norm.cc"
#include <hwy/foreach_target.h>
// foreach_target.h first
#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lorikeet::HWY_NAMESPACE {
namespace {

// g, the factor of a normed value.
template <NormKind K>
HWY_INLINE Vec Gain(Vec w) {
  return K == NormKind::kRmsOnePlus ? hn::Add(Set(1), w) : w;
}

template <class C, NormKind K>
void ScaleRow(const C* xhat, const float* w, int64_t D, C* y) {
  ForVectors(D, [=](auto lanes, int64_t i) HWY_ATTR {
    lanes.Store(hn::Mul(Gain<K>(lanes.Load(w + i)), lanes.Load(xhat + i)), y + i);
  });
}

float RstdOf(const float* x, float eps, int64_t D) {
  const float squares = SumVectors(D, [=](auto lanes, int64_t i, Vec acc) HWY_ATTR {
    const Vec v = lanes.Load(x + i);
    return hn::MulAdd(v, v, acc);
  });
  return 1.0F / std::sqrt(squares / static_cast<float>(D) + eps);
}

template <class C, NormKind K>
void ForwardRow(const float* x, const float* w, float rstd, int64_t D, C* xhat, C* y) {
  const Vec scale = Set(rstd);
  ForVectors(D, [=](auto lanes, int64_t i) HWY_ATTR {
    const Vec exact = hn::Mul(lanes.Load(x + i), scale), n = Round<C>(exact);
    lanes.StoreRounded(n, xhat + i);
    const Vec normed = K == NormKind::kRms ? n : exact;
    lanes.Store(hn::Mul(Gain<K>(lanes.Load(w + i)), normed), y + i);
  });
}

template <class C, NormKind K>
void AddRow(const float* x, const float* w, float rstd, int64_t D, C* xhat, float* residual) {
  const Vec scale = Set(rstd);
  ForVectors(D, [=](auto lanes, int64_t i) HWY_ATTR {
    const Vec exact = hn::Mul(lanes.Load(x + i), scale), n = Round<C>(exact);
    lanes.StoreRounded(n, xhat + i);
    const Vec normed = K == NormKind::kRms ? n : exact;
    const Vec sum = hn::MulAdd(Gain<K>(lanes.Load(w + i)), normed, lanes.Load(residual + i));
    lanes.Store(sum, residual + i);
  });
}

template <class C, NormKind K>
void BackwardRow(const float* dy, const C* xhat, const float* w, float rstd, int64_t D, float* dx,
                 float* dw) {
  const float dot = SumVectors(D, [=](auto lanes, int64_t i, Vec acc) HWY_ATTR {
    const Vec dxhat = hn::Mul(lanes.Load(dy + i), Gain<K>(lanes.Load(w + i)));
    return hn::MulAdd(dxhat, lanes.Load(xhat + i), acc);
  });
  const Vec mean = Set(dot / static_cast<float>(D)), scale = Set(rstd);
  ForVectors(D, [=](auto lanes, int64_t i) HWY_ATTR {
    const Vec g = lanes.Load(dy + i), n = lanes.Load(xhat + i);
    const Vec inner = hn::NegMulAdd(n, mean, hn::Mul(g, Gain<K>(lanes.Load(w + i))));
    lanes.Store(hn::MulAdd(scale, inner, lanes.Load(dx + i)), dx + i);
    if (dw != nullptr) lanes.Store(hn::MulAdd(g, n, lanes.Load(dw + i)), dw + i);
  });
}

// The instance of a template for a dtype and a kind. In f32 there is nothing to round, so that
// kRmsOnce is kRms.
template <class Fn>
Fn* InstanceFor(DType dtype, NormKind kind, Fn* f32, Fn* bf16, Fn* bf16_once, Fn* f32_plus,
                Fn* bf16_plus) {
  if (kind == NormKind::kRmsOnePlus) return dtype == DType::kF32 ? f32_plus : bf16_plus;
  if (dtype == DType::kF32) return f32;
  return kind == NormKind::kRms ? bf16 : bf16_once;
}

template <class C, NormKind K>
void ForwardRows(const Tensor& x, const Tensor& w, float eps, const Tensor& xhat, const Tensor& y,
                 const Tensor& rstd, int64_t begin, int64_t end) {
  const int64_t D = x.cols();
  for (int64_t t = begin; t < end; ++t) {
    const float* row = x.as<float>() + t * D;
    const float scale = rstd.as<float>()[t] = RstdOf(row, eps, D);
    ForwardRow<C, K>(row, w.as<float>(), scale, D, xhat.as<C>() + t * D, y.as<C>() + t * D);
  }
}

void Forward(const Tensor& x, const Tensor& w, float eps, const Tensor& xhat, const Tensor& y,
             const Tensor& rstd, NormKind kind, int64_t begin, int64_t end) {
  const auto rows = InstanceFor(
      y.dtype, kind, ForwardRows<float, NormKind::kRms>, ForwardRows<bfloat16, NormKind::kRms>,
      ForwardRows<bfloat16, NormKind::kRmsOnce>, ForwardRows<float, NormKind::kRmsOnePlus>,
      ForwardRows<bfloat16, NormKind::kRmsOnePlus>);
  rows(x, w, eps, xhat, y, rstd, begin, end);
}

template <class C, NormKind K>
void AddRows(const Tensor& x, const Tensor& w, float eps, const Tensor& xhat,
             const Tensor& residual, const Tensor& rstd, int64_t begin, int64_t end) {
  const int64_t D = x.cols();
  for (int64_t t = begin; t < end; ++t) {
    const float* row = x.as<float>() + t * D;
    const float scale = rstd.as<float>()[t] = RstdOf(row, eps, D);
    AddRow<C, K>(row, w.as<float>(), scale, D, xhat.as<C>() + t * D, residual.as<float>() + t * D);
  }
}

void Add(const Tensor& x, const Tensor& w, float eps, const Tensor& xhat, const Tensor& residual,
         const Tensor& rstd, NormKind kind, int64_t begin, int64_t end) {
  const auto rows =
      InstanceFor(xhat.dtype, kind, AddRows<float, NormKind::kRms>,
                  AddRows<bfloat16, NormKind::kRms>, AddRows<bfloat16, NormKind::kRmsOnce>,
                  AddRows<float, NormKind::kRmsOnePlus>, AddRows<bfloat16, NormKind::kRmsOnePlus>);
  rows(x, w, eps, xhat, residual, rstd, begin, end);
}

template <class C, NormKind K>
void ScaleRows(const Tensor& xhat, const Tensor& w, const Tensor& y, int64_t begin, int64_t end) {
  const int64_t D = y.cols();
  for (int64_t t = begin; t < end; ++t) {
    ScaleRow<C, K>(xhat.as<C>() + t * D, w.as<float>(), D, y.as<C>() + t * D);
  }
}

void Scale(const Tensor& xhat, const Tensor& w, const Tensor& y, NormKind kind, int64_t begin,
           int64_t end) {
  const auto rows = InstanceFor(
      y.dtype, kind, ScaleRows<float, NormKind::kRms>, ScaleRows<bfloat16, NormKind::kRms>,
      ScaleRows<bfloat16, NormKind::kRmsOnce>, ScaleRows<float, NormKind::kRmsOnePlus>,
      ScaleRows<bfloat16, NormKind::kRmsOnePlus>);
  rows(xhat, w, y, begin, end);
}

template <class C, NormKind K>
void BackwardRows(const Tensor& dy, const Tensor& xhat, const Tensor& w, const Tensor& rstd,
                  const Tensor& dx, int64_t begin, int64_t end, float* dw) {
  const int64_t D = dy.cols();
  for (int64_t t = begin; t < end; ++t) {
    BackwardRow<C, K>(dy.as<float>() + t * D, xhat.as<C>() + t * D, w.as<float>(),
                      rstd.as<float>()[t], D, dx.as<float>() + t * D, dw);
  }
}

void Backward(const Tensor& dy, const Tensor& xhat, const Tensor& w, const Tensor& rstd,
              const Tensor& dx, NormKind kind, int64_t begin, int64_t end, float* dw) {
  const auto rows = InstanceFor(
      xhat.dtype, kind, BackwardRows<float, NormKind::kRms>, BackwardRows<bfloat16, NormKind::kRms>,
      BackwardRows<bfloat16, NormKind::kRmsOnce>, BackwardRows<float, NormKind::kRmsOnePlus>,
      BackwardRows<bfloat16, NormKind::kRmsOnePlus>);
  rows(dy, xhat, w, rstd, dx, begin, end, dw);
}

}  // namespace
}  // namespace lorikeet::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lorikeet {
namespace {
HWY_EXPORT(Forward);
HWY_EXPORT(Add);
HWY_EXPORT(Scale);
HWY_EXPORT(Backward);
}  // namespace

void RmsNormForward(const Tensor& x, const Tensor& w, float eps, const Tensor& xhat,
                    const Tensor& y, const Tensor& rstd, NormKind kind) {
  const Kernel here(
      [&] {
        return KernelCall{"RmsNormForward",
                          "norms",
                          {"{} x {}", {x.rows(), x.cols()}},
                          4 * x.size(),
                          BytesOf(x, w, xhat, y, rstd)};
      },
      [&] {
        return Replay([=](const Relocate& at) {
          RmsNormForward(at(x), at(w), eps, at(xhat), at(y), at(rstd), kind);
        });
      });
  CHECK(SameShape(x, xhat) && SameShape(x, y) && w.size() == x.cols() && rstd.size() == x.rows());
  CHECK(IsCompute(y) && xhat.dtype == y.dtype);
  if (here.dry()) return;
  ParallelRanges(x.rows(), RowGrain(x.cols()), [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(Forward)(x, w, eps, xhat, y, rstd, kind, begin, end);
  });
}

void RmsNormAdd(const Tensor& x, const Tensor& w, float eps, const Tensor& xhat,
                const Tensor& residual, const Tensor& rstd, NormKind kind) {
  const Kernel here(
      [&] {
        return KernelCall{"RmsNormAdd",
                          "norms",
                          {"{} x {}", {x.rows(), x.cols()}},
                          5 * x.size(),
                          BytesOf(x, w, xhat, residual, residual, rstd)};
      },
      [&] {
        return Replay([=](const Relocate& at) {
          RmsNormAdd(at(x), at(w), eps, at(xhat), at(residual), at(rstd), kind);
        });
      });
  CHECK(SameShape(x, xhat) && SameShape(x, residual) && IsCompute(xhat));
  CHECK(w.size() == x.cols() && rstd.size() == x.rows());
  if (here.dry()) return;
  ParallelRanges(x.rows(), RowGrain(x.cols()), [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(Add)(x, w, eps, xhat, residual, rstd, kind, begin, end);
  });
}

void RmsNormScale(const Tensor& xhat, const Tensor& w, const Tensor& y, NormKind kind) {
  const Kernel here(
      [&] {
        return KernelCall{"RmsNormScale",
                          "norms",
                          {"{} x {}", {y.rows(), y.cols()}},
                          y.size(),
                          BytesOf(xhat, w, y)};
      },
      [&] {
        return Replay([=](const Relocate& at) { RmsNormScale(at(xhat), at(w), at(y), kind); });
      });
  CHECK(SameShape(xhat, y) && w.size() == y.cols() && IsCompute(y) && xhat.dtype == y.dtype);
  if (here.dry()) return;
  ParallelRanges(y.rows(), RowGrain(y.cols()), [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(Scale)(xhat, w, y, kind, begin, end);
  });
}

void RmsNormBackward(const Tensor& dy, const Tensor& xhat, const Tensor& w, const Tensor& rstd,
                     const Tensor& dx, const Tensor& dw, NormKind kind) {
  const Kernel here(
      [&] {
        return KernelCall{"RmsNormBackward",
                          "norms",
                          {"{} x {}", {dy.rows(), dy.cols()}, dw ? ", dw" : ""},
                          (dw ? 9 : 7) * dy.size(),
                          BytesOf(dy, xhat, w, rstd, dx, dx, dw, dw)};
      },
      [&] {
        return Replay([=](const Relocate& at) {
          RmsNormBackward(at(dy), at(xhat), at(w), at(rstd), at(dx), at(dw), kind);
        });
      });
  CHECK(SameShape(dy, xhat) && SameShape(dy, dx) && IsCompute(xhat));
  CHECK(w.size() == dy.cols() && rstd.size() == dy.rows() && (!dw || dw.size() == dy.cols()));
  if (here.dry()) return;
  SumOverRows(dy.rows(), dy.cols(), dy.cols(), dw ? dw.as<float>() : nullptr,
              [&](int64_t begin, int64_t end, float* line) {
                HWY_DYNAMIC_DISPATCH(Backward)(dy, xhat, w, rstd, dx, kind, begin, end, line);
              });
}

}  // namespace lorikeet
#endif  // HWY_ONCE
