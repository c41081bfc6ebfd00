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

template <class C>
void ScaleRow(const C* xhat, const float* w, int64_t D, C* y) {
  ForVectors(D, [=](auto lanes, int64_t i) HWY_ATTR {
    lanes.Store(hn::Mul(lanes.Load(w + i), lanes.Load(xhat + i)), y + i);
  });
}

template <class C>
float ForwardRow(const float* x, const float* w, float eps, int64_t D, C* xhat, C* y) {
  const float squares = SumVectors(D, [=](auto lanes, int64_t i, Vec acc) HWY_ATTR {
    const Vec v = lanes.Load(x + i);
    return hn::MulAdd(v, v, acc);
  });
  const float rstd = 1.0F / std::sqrt(squares / static_cast<float>(D) + eps);
  const Vec scale = Set(rstd);
  ForVectors(D, [=](auto lanes, int64_t i) HWY_ATTR {
    const Vec n = Round<C>(hn::Mul(lanes.Load(x + i), scale));
    lanes.StoreRounded(n, xhat + i);
    lanes.Store(hn::Mul(lanes.Load(w + i), n), y + i);  // as ScaleRow will
  });
  return rstd;
}

template <class C>
void BackwardRow(const float* dy, const C* xhat, const float* w, float rstd, int64_t D, float* dx,
                 float* dw) {
  const float dot = SumVectors(D, [=](auto lanes, int64_t i, Vec acc) HWY_ATTR {
    const Vec dxhat = hn::Mul(lanes.Load(dy + i), lanes.Load(w + i));
    return hn::MulAdd(dxhat, lanes.Load(xhat + i), acc);
  });
  const Vec mean = Set(dot / static_cast<float>(D)), scale = Set(rstd);
  ForVectors(D, [=](auto lanes, int64_t i) HWY_ATTR {
    const Vec g = lanes.Load(dy + i), n = lanes.Load(xhat + i);
    const Vec inner = hn::NegMulAdd(n, mean, hn::Mul(g, lanes.Load(w + i)));
    lanes.Store(hn::MulAdd(scale, inner, lanes.Load(dx + i)), dx + i);
    if (dw != nullptr) lanes.Store(hn::MulAdd(g, n, lanes.Load(dw + i)), dw + i);
  });
}

template <class C>
void ForwardRows(const Tensor& x, const Tensor& w, float eps, const Tensor& xhat, const Tensor& y,
                 const Tensor& rstd, int64_t begin, int64_t end) {
  const int64_t D = x.cols();
  for (int64_t t = begin; t < end; ++t) {
    rstd.as<float>()[t] = ForwardRow(x.as<float>() + t * D, w.as<float>(), eps, D,
                                     xhat.as<C>() + t * D, y.as<C>() + t * D);
  }
}

void Forward(const Tensor& x, const Tensor& w, float eps, const Tensor& xhat, const Tensor& y,
             const Tensor& rstd, int64_t begin, int64_t end) {
  const auto rows = y.dtype == DType::kF32 ? ForwardRows<float> : ForwardRows<bfloat16>;
  rows(x, w, eps, xhat, y, rstd, begin, end);
}

template <class C>
void ScaleRows(const Tensor& xhat, const Tensor& w, const Tensor& y, int64_t begin, int64_t end) {
  const int64_t D = y.cols();
  for (int64_t t = begin; t < end; ++t) {
    ScaleRow(xhat.as<C>() + t * D, w.as<float>(), D, y.as<C>() + t * D);
  }
}

void Scale(const Tensor& xhat, const Tensor& w, const Tensor& y, int64_t begin, int64_t end) {
  const auto rows = y.dtype == DType::kF32 ? ScaleRows<float> : ScaleRows<bfloat16>;
  rows(xhat, w, y, begin, end);
}

template <class C>
void BackwardRows(const Tensor& dy, const Tensor& xhat, const Tensor& w, const Tensor& rstd,
                  const Tensor& dx, int64_t begin, int64_t end, float* dw) {
  const int64_t D = dy.cols();
  for (int64_t t = begin; t < end; ++t) {
    BackwardRow(dy.as<float>() + t * D, xhat.as<C>() + t * D, w.as<float>(), rstd.as<float>()[t], D,
                dx.as<float>() + t * D, dw);
  }
}

void Backward(const Tensor& dy, const Tensor& xhat, const Tensor& w, const Tensor& rstd,
              const Tensor& dx, int64_t begin, int64_t end, float* dw) {
  const auto rows = xhat.dtype == DType::kF32 ? BackwardRows<float> : BackwardRows<bfloat16>;
  rows(dy, xhat, w, rstd, dx, begin, end, dw);
}

}  // namespace
}  // namespace lorikeet::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lorikeet {
namespace {
HWY_EXPORT(Forward);
HWY_EXPORT(Scale);
HWY_EXPORT(Backward);
}  // namespace

void RmsNormForward(const Tensor& x, const Tensor& w, float eps, const Tensor& xhat,
                    const Tensor& y, const Tensor& rstd) {
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
          RmsNormForward(at(x), at(w), eps, at(xhat), at(y), at(rstd));
        });
      });
  CHECK(SameShape(x, xhat) && SameShape(x, y) && w.size() == x.cols() && rstd.size() == x.rows());
  CHECK(IsCompute(y) && xhat.dtype == y.dtype);
  if (here.dry()) return;
  ParallelRanges(x.rows(), RowGrain(x.cols()), [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(Forward)(x, w, eps, xhat, y, rstd, begin, end);
  });
}

void RmsNormScale(const Tensor& xhat, const Tensor& w, const Tensor& y) {
  const Kernel here(
      [&] {
        return KernelCall{"RmsNormScale",
                          "norms",
                          {"{} x {}", {y.rows(), y.cols()}},
                          y.size(),
                          BytesOf(xhat, w, y)};
      },
      [&] { return Replay([=](const Relocate& at) { RmsNormScale(at(xhat), at(w), at(y)); }); });
  CHECK(SameShape(xhat, y) && w.size() == y.cols() && IsCompute(y) && xhat.dtype == y.dtype);
  if (here.dry()) return;
  ParallelRanges(y.rows(), RowGrain(y.cols()), [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(Scale)(xhat, w, y, begin, end);
  });
}

void RmsNormBackward(const Tensor& dy, const Tensor& xhat, const Tensor& w, const Tensor& rstd,
                     const Tensor& dx, const Tensor& dw) {
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
          RmsNormBackward(at(dy), at(xhat), at(w), at(rstd), at(dx), at(dw));
        });
      });
  CHECK(SameShape(dy, xhat) && SameShape(dy, dx) && IsCompute(xhat));
  CHECK(w.size() == dy.cols() && rstd.size() == dy.rows() && (!dw || dw.size() == dy.cols()));
  if (here.dry()) return;
  SumOverRows(dy.rows(), dy.cols(), dy.cols(), dw ? dw.as<float>() : nullptr,
              [&](int64_t begin, int64_t end, float* line) {
                HWY_DYNAMIC_DISPATCH(Backward)(dy, xhat, w, rstd, dx, begin, end, line);
              });
}

}  // namespace lorikeet
#endif  // HWY_ONCE
