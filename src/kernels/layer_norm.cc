#include "kernels/layer_norm.h"

#include <cmath>
#include <vector>

#include "kernels/rows.h"
#include "kernels/trace.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/layer_norm.cc"
#include <hwy/foreach_target.h>
// foreach_target.h first
#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lorikeet::HWY_NAMESPACE {
namespace {

float MeanOf(const float* x, int64_t D) {
  const float sum = SumVectors(
      D, [=](auto lanes, int64_t i, Vec acc) HWY_ATTR { return hn::Add(lanes.Load(x + i), acc); });
  return sum / static_cast<float>(D);
}

float RstdOf(const float* x, float mean, float eps, int64_t D) {
  const Vec centre = Set(mean);
  const float squares = SumVectors(D, [=](auto lanes, int64_t i, Vec acc) HWY_ATTR {
    const Vec v = hn::Sub(lanes.Load(x + i, mean), centre);
    return hn::MulAdd(v, v, acc);
  });
  return 1.0F / std::sqrt(squares / static_cast<float>(D) + eps);
}

// w * n + b; b may be null.
template <class L>
HWY_INLINE Vec Affine(L lanes, const float* w, const float* b, int64_t i, Vec n) {
  const Vec gain = lanes.Load(w + i);
  return b == nullptr ? hn::Mul(gain, n) : hn::MulAdd(gain, n, lanes.Load(b + i));
}

template <class C>
float ForwardRow(const float* x, const float* w, const float* b, float eps, int64_t D, C* xhat,
                 C* y) {
  const float mean = MeanOf(x, D), rstd = RstdOf(x, mean, eps, D);
  const Vec centre = Set(mean), scale = Set(rstd);
  ForVectors(D, [=](auto lanes, int64_t i) HWY_ATTR {
    const Vec n = hn::Mul(hn::Sub(lanes.Load(x + i), centre), scale);
    lanes.Store(n, xhat + i);
    lanes.Store(Affine(lanes, w, b, i, n), y + i);
  });
  return rstd;
}

template <class C>
void ScaleRow(const C* xhat, const float* w, const float* b, int64_t D, C* y) {
  ForVectors(D, [=](auto lanes, int64_t i)
                    HWY_ATTR { lanes.Store(Affine(lanes, w, b, i, lanes.Load(xhat + i)), y + i); });
}

// dw and db may be null.
template <class C>
void BackwardRow(const float* dy, const C* xhat, const float* w, float rstd, int64_t D, float* dx,
                 float* dw, float* db) {
  const float sum = SumVectors(D, [=](auto lanes, int64_t i, Vec acc) HWY_ATTR {
    return hn::MulAdd(lanes.Load(dy + i), lanes.Load(w + i), acc);
  });
  const float dot = SumVectors(D, [=](auto lanes, int64_t i, Vec acc) HWY_ATTR {
    const Vec dxhat = hn::Mul(lanes.Load(dy + i), lanes.Load(w + i));
    return hn::MulAdd(dxhat, lanes.Load(xhat + i), acc);
  });
  const Vec mean = Set(sum / static_cast<float>(D)), mean_dot = Set(dot / static_cast<float>(D));
  const Vec scale = Set(rstd);
  ForVectors(D, [=](auto lanes, int64_t i) HWY_ATTR {
    const Vec g = lanes.Load(dy + i), n = lanes.Load(xhat + i);
    const Vec centred = hn::MulSub(g, lanes.Load(w + i), mean);
    const Vec inner = hn::NegMulAdd(n, mean_dot, centred);
    lanes.Store(hn::MulAdd(scale, inner, lanes.Load(dx + i)), dx + i);
    if (dw != nullptr) lanes.Store(hn::MulAdd(g, n, lanes.Load(dw + i)), dw + i);
    if (db != nullptr) lanes.Store(hn::Add(g, lanes.Load(db + i)), db + i);
  });
}

const float* BiasOf(const Tensor& b) { return b ? b.as<float>() : nullptr; }

template <class C>
void ForwardRows(const Tensor& x, const Tensor& w, const Tensor& b, float eps, const Tensor& xhat,
                 const Tensor& y, const Tensor& rstd, int64_t begin, int64_t end) {
  const int64_t D = x.cols();
  for (int64_t t = begin; t < end; ++t) {
    rstd.as<float>()[t] = ForwardRow(x.as<float>() + t * D, w.as<float>(), BiasOf(b), eps, D,
                                     xhat.as<C>() + t * D, y.as<C>() + t * D);
  }
}
void Forward(const Tensor& x, const Tensor& w, const Tensor& b, float eps, const Tensor& xhat,
             const Tensor& y, const Tensor& rstd, int64_t begin, int64_t end) {
  const auto rows = y.dtype == DType::kF32 ? ForwardRows<float> : ForwardRows<bfloat16>;
  rows(x, w, b, eps, xhat, y, rstd, begin, end);
}

template <class C>
void ScaleRows(const Tensor& xhat, const Tensor& w, const Tensor& b, const Tensor& y, int64_t begin,
               int64_t end) {
  const int64_t D = y.cols();
  for (int64_t t = begin; t < end; ++t) {
    ScaleRow(xhat.as<C>() + t * D, w.as<float>(), BiasOf(b), D, y.as<C>() + t * D);
  }
}
void Scale(const Tensor& xhat, const Tensor& w, const Tensor& b, const Tensor& y, int64_t begin,
           int64_t end) {
  const auto rows = y.dtype == DType::kF32 ? ScaleRows<float> : ScaleRows<bfloat16>;
  rows(xhat, w, b, y, begin, end);
}

template <class C>
void BackwardRows(const Tensor& dy, const Tensor& xhat, const Tensor& w, const Tensor& rstd,
                  const Tensor& dx, int64_t begin, int64_t end, float* dw, float* db) {
  const int64_t D = dy.cols();
  for (int64_t t = begin; t < end; ++t) {
    BackwardRow(dy.as<float>() + t * D, xhat.as<C>() + t * D, w.as<float>(), rstd.as<float>()[t], D,
                dx.as<float>() + t * D, dw, db);
  }
}
void Backward(const Tensor& dy, const Tensor& xhat, const Tensor& w, const Tensor& rstd,
              const Tensor& dx, int64_t begin, int64_t end, float* dw, float* db) {
  const auto rows = xhat.dtype == DType::kF32 ? BackwardRows<float> : BackwardRows<bfloat16>;
  rows(dy, xhat, w, rstd, dx, begin, end, dw, db);
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

bool IsVector(const Tensor& v, int64_t size) { return v.dtype == DType::kF32 && v.size() == size; }
}  // namespace

void LayerNormForward(const Tensor& x, const Tensor& w, const Tensor& b, float eps,
                      const Tensor& xhat, const Tensor& y, const Tensor& rstd) {
  const Kernel here(
      [&] {
        return KernelCall{"LayerNormForward",
                          "norms",
                          {"{} x {}", {x.rows(), x.cols()}, b ? ", bias" : ""},
                          (b ? 8 : 7) * x.size(),
                          BytesOf(x, w, b, xhat, y, rstd)};
      },
      [&] {
        return Replay([=](const Relocate& at) {
          LayerNormForward(at(x), at(w), at(b), eps, at(xhat), at(y), at(rstd));
        });
      });
  CHECK(SameShape(x, xhat) && SameShape(x, y) && IsVector(w, x.cols()));
  CHECK((!b || IsVector(b, x.cols())) && rstd.size() == x.rows());
  CHECK(IsCompute(y) && xhat.dtype == y.dtype);
  if (here.dry()) return;
  ParallelRanges(x.rows(), RowGrain(x.cols()), [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(Forward)(x, w, b, eps, xhat, y, rstd, begin, end);
  });
}

void LayerNormScale(const Tensor& xhat, const Tensor& w, const Tensor& b, const Tensor& y) {
  const Kernel here(
      [&] {
        return KernelCall{"LayerNormScale",
                          "norms",
                          {"{} x {}", {y.rows(), y.cols()}, b ? ", bias" : ""},
                          (b ? 2 : 1) * y.size(),
                          BytesOf(xhat, w, b, y)};
      },
      [&] {
        return Replay([=](const Relocate& at) { LayerNormScale(at(xhat), at(w), at(b), at(y)); });
      });
  CHECK(SameShape(xhat, y) && IsVector(w, y.cols()) && (!b || IsVector(b, y.cols())));
  CHECK(IsCompute(y) && xhat.dtype == y.dtype);
  if (here.dry()) return;
  ParallelRanges(y.rows(), RowGrain(y.cols()), [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(Scale)(xhat, w, b, y, begin, end);
  });
}

void LayerNormBackward(const Tensor& dy, const Tensor& xhat, const Tensor& w, const Tensor& rstd,
                       const Tensor& dx, const Tensor& dw, const Tensor& db) {
  const Kernel here(
      [&] {
        return KernelCall{"LayerNormBackward",
                          "norms",
                          {"{} x {}",
                           {dy.rows(), dy.cols()},
                           db   ? ", dw, db"
                           : dw ? ", dw"
                                : ""},
                          (db   ? 13
                           : dw ? 12
                                : 10) *
                              dy.size(),
                          BytesOf(dy, xhat, w, rstd, dx, dx, dw, dw, db, db)};
      },
      [&] {
        return Replay([=](const Relocate& at) {
          LayerNormBackward(at(dy), at(xhat), at(w), at(rstd), at(dx), at(dw), at(db));
        });
      });
  const int64_t D = dy.cols();
  CHECK(SameShape(dy, xhat) && SameShape(dy, dx) && IsCompute(xhat) && IsVector(w, D));
  CHECK(rstd.size() == dy.rows() && (!dw || IsVector(dw, D)));
  CHECK(!db || (dw && IsVector(db, D)));
  if (here.dry()) return;
  // The sums of dw, and behind them those of db.
  std::vector<float> sums(static_cast<size_t>(db ? 2 * D : dw ? D : 0));
  SumOverRows(dy.rows(), D, std::ssize(sums), dw ? sums.data() : nullptr,
              [&](int64_t begin, int64_t end, float* line) {
                HWY_DYNAMIC_DISPATCH(Backward)
                (dy, xhat, w, rstd, dx, begin, end, line, db ? line + D : nullptr);
              });
  for (int64_t i = 0; dw && i < D; ++i) dw.as<float>()[i] += sums[static_cast<size_t>(i)];
  for (int64_t i = 0; db && i < D; ++i) db.as<float>()[i] += sums[static_cast<size_t>(D + i)];
}

}  // namespace lorikeet
#endif  // HWY_ONCE
