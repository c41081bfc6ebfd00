#include "kernels/heads.h"

#include <cmath>

#include "kernels/rows.h"
#include "kernels/trace.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/heads.cc"
#include <hwy/foreach_target.h>
// foreach_target.h first
#include "kernels/simd-inl.h"

#ifndef LORIKEET_KERNELS_HEADS_CC_ONCE_
#define LORIKEET_KERNELS_HEADS_CC_ONCE_
namespace lorikeet {
namespace {
constexpr int64_t kMaxHeadDim = 1024;  // a head in f32 on the stack

// A split or its gradient, with the optional parts flattened to pointers.
struct HeadsJob {
  const Columns* token_major;  // (T,H*Dh)
  const HeadNorm* norm;
  const HeadRope* rope;
  const HeadRows* rows;
};
}  // namespace
}  // namespace lorikeet
#endif

HWY_BEFORE_NAMESPACE();
namespace lorikeet::HWY_NAMESPACE {
namespace {

// g, the factor of a normed value.
HWY_INLINE Vec HeadGain(NormKind kind, Vec w) {
  return kind == NormKind::kRmsOnePlus ? hn::Add(Set(1), w) : w;
}

// y = g * xhat in f32; C(xhat), where not null, is kept. Returns rstd.
template <class C>
float NormHead(const float* x, const float* w, float eps, NormKind kind, int64_t Dh, C* xhat,
               float* y) {
  const float squares = SumVectors(Dh, [=](auto lanes, int64_t i, Vec acc) HWY_ATTR {
    const Vec v = lanes.Load(x + i);
    return hn::MulAdd(v, v, acc);
  });
  const float rstd = 1.0F / std::sqrt(squares / static_cast<float>(Dh) + eps);
  const Vec scale = Set(rstd);
  ForVectors(Dh, [=](auto lanes, int64_t i) HWY_ATTR {
    const Vec exact = hn::Mul(lanes.Load(x + i), scale), n = Round<C>(exact);
    if (xhat != nullptr) lanes.StoreRounded(n, xhat + i);
    const Vec normed = kind == NormKind::kRms ? n : exact;
    lanes.Store(hn::Mul(HeadGain(kind, lanes.Load(w + i)), normed), y + i);
  });
  return rstd;
}

// out = in turned by the angles of (cos, sin), or, with `direction` -1, turned back.
template <class To>
void RotateHead(const float* in, const float* cos, const float* sin, float direction, int64_t R,
                int64_t Dh, To* out) {
  const Vec sign = Set(direction);
  ForVectors(R, [=](auto lanes, int64_t i) HWY_ATTR {
    const Vec a = lanes.Load(in + i), b = lanes.Load(in + R + i);
    const Vec c = lanes.Load(cos + i), s = hn::Mul(sign, lanes.Load(sin + i));
    lanes.Store(hn::NegMulAdd(b, s, hn::Mul(a, c)), out + i);
    lanes.Store(hn::MulAdd(a, s, hn::Mul(b, c)), out + R + i);
  });
  ConvertRow(in + 2 * R, Dh - 2 * R, out + 2 * R);
}

// The same for pairs of neighbours.
template <class To>
void RotateNeighbours(const float* in, const float* cos, const float* sin, float direction,
                      int64_t R, int64_t Dh, To* out) {
  if (R <= 0) return ConvertRow(in, Dh, out);
  HWY_ALIGN float halves[kMaxHeadDim];
  HWY_ALIGN float rotated[kMaxHeadDim];
  for (int64_t i = 0; i < R; ++i) {
    halves[i] = in[2 * i];
    halves[R + i] = in[2 * i + 1];
  }
  RotateHead(halves, cos, sin, direction, R, 2 * R, rotated);
  for (int64_t i = 0; i < R; ++i) {
    halves[2 * i] = rotated[i];
    halves[2 * i + 1] = rotated[R + i];
  }
  ConvertRow(halves, 2 * R, out);
  ConvertRow(in + 2 * R, Dh - 2 * R, out + 2 * R);
}

// out = in turned by the angles of token t, or back; converted only without a rope.
template <class To>
void Rotate(const HeadRope* rope, int64_t t, const float* in, float direction, int64_t Dh,
            To* out) {
  if (rope == nullptr) return ConvertRow(in, Dh, out);
  const int64_t R = rope->cos.cols();
  const float *cos = rope->cos.as<float>() + t * R, *sin = rope->sin.as<float>() + t * R;
  if (rope->interleaved) {
    RotateNeighbours(in, cos, sin, direction, R, Dh, out);
  } else {
    RotateHead(in, cos, sin, direction, R, Dh, out);
  }
}

template <class C>
void ForwardToken(const HeadsJob& job, int64_t t) {
  const HeadRows& rows = *job.rows;
  const int64_t H = rows.num_groups * rows.group_size, Dh = rows.head_dim;
  HWY_ALIGN float scratch[kMaxHeadDim];
  HWY_ALIGN float rotated[kMaxHeadDim];
  for (int64_t h = 0; h < H; ++h) {
    const int64_t k = h / rows.group_size, g = h % rows.group_size;
    C* out = static_cast<C*>(rows.data) + k * rows.head_stride +
             (rows.Row(t) * rows.group_size + g) * Dh;
    const float* x = job.token_major->Row<float>(t) + h * Dh;
    if (job.norm != nullptr) {
      const HeadNorm& norm = *job.norm;
      if (norm.after_rope) {
        Rotate(job.rope, t, x, 1.0F, Dh, rotated);
        x = rotated;
      }
      C* xhat = norm.xhat ? norm.xhat.as<C>() + (t * H + h) * Dh : nullptr;
      const float rstd = NormHead(x, norm.w.as<float>(), norm.eps, norm.kind, Dh, xhat, scratch);
      if (norm.rstd) norm.rstd.as<float>()[t * H + h] = rstd;
      x = scratch;
      if (norm.after_rope) {
        ConvertRow(x, Dh, out);
        continue;
      }
    }
    Rotate(job.rope, t, x, 1.0F, Dh, out);
  }
}

void Forward(const HeadsJob& job, int64_t begin, int64_t end) {
  const auto token = job.rows->dtype == DType::kF32 ? ForwardToken<float> : ForwardToken<bfloat16>;
  for (int64_t t = begin; t < end; ++t) token(job, t);
}

// din = rstd * (dy * g - xhat * mean(dy * g * xhat)), dw += dy * xhat.
template <class C, class To>
void NormHeadBackward(const float* dy, const C* xhat, const float* w, float rstd, NormKind kind,
                      int64_t Dh, To* din, float* dw) {
  const float dot = SumVectors(Dh, [=](auto lanes, int64_t i, Vec acc) HWY_ATTR {
    const Vec dxhat = hn::Mul(lanes.Load(dy + i), HeadGain(kind, lanes.Load(w + i)));
    return hn::MulAdd(dxhat, lanes.Load(xhat + i), acc);
  });
  const Vec mean = Set(dot / static_cast<float>(Dh)), scale = Set(rstd);
  ForVectors(Dh, [=](auto lanes, int64_t i) HWY_ATTR {
    const Vec g = lanes.Load(dy + i), n = lanes.Load(xhat + i);
    const Vec inner = hn::NegMulAdd(n, mean, hn::Mul(g, HeadGain(kind, lanes.Load(w + i))));
    if (dw != nullptr) lanes.Store(hn::MulAdd(g, n, lanes.Load(dw + i)), dw + i);
    lanes.Store(hn::Mul(scale, inner), din + i);
  });
}

template <class C>
void BackwardToken(const HeadsJob& job, int64_t t, float* dw) {
  const HeadRows& rows = *job.rows;
  const int64_t H = rows.num_groups * rows.group_size, Dh = rows.head_dim;
  HWY_ALIGN float scratch[kMaxHeadDim];
  for (int64_t h = 0; h < H; ++h) {
    const int64_t k = h / rows.group_size, g = h % rows.group_size;
    const float* d = static_cast<const float*>(rows.data) + k * rows.head_stride +
                     (t * rows.group_size + g) * Dh;
    C* din = job.token_major->Row<C>(t) + h * Dh;
    if (job.norm == nullptr) {
      Rotate(job.rope, t, d, -1.0F, Dh, din);
      continue;
    }
    const HeadNorm& norm = *job.norm;
    const C* xhat = norm.xhat.as<C>() + (t * H + h) * Dh;
    const float rstd = norm.rstd.as<float>()[t * H + h];
    if (norm.after_rope) {
      NormHeadBackward(d, xhat, norm.w.as<float>(), rstd, norm.kind, Dh, scratch, dw);
      Rotate(job.rope, t, scratch, -1.0F, Dh, din);
    } else {
      Rotate(job.rope, t, d, -1.0F, Dh, scratch);
      NormHeadBackward(scratch, xhat, norm.w.as<float>(), rstd, norm.kind, Dh, din, dw);
    }
  }
}

void Backward(const HeadsJob& job, int64_t begin, int64_t end, float* dw) {
  const auto token =
      job.token_major->dtype() == DType::kF32 ? BackwardToken<float> : BackwardToken<bfloat16>;
  for (int64_t t = begin; t < end; ++t) token(job, t, dw);
}

template <class From, class To>
void MergeTokens(const Tensor& in, const Tensor& out, int64_t begin, int64_t end) {
  const int64_t K = in.shape[0], T = in.shape[1], group = in.shape[2] * in.shape[3];
  for (int64_t t = begin; t < end; ++t) {
    for (int64_t k = 0; k < K; ++k) {
      ConvertRow(in.as<From>() + (k * T + t) * group, group, out.as<To>() + (t * K + k) * group);
    }
  }
}
void Merge(const Tensor& in, const Tensor& out, int64_t begin, int64_t end) {
  const bool wide = in.dtype == DType::kF32;
  const auto tokens = out.dtype == DType::kF32 ? MergeTokens<float, float>
                      : wide                   ? MergeTokens<float, bfloat16>
                                               : MergeTokens<bfloat16, bfloat16>;
  tokens(in, out, begin, end);
}

}  // namespace
}  // namespace lorikeet::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lorikeet {
namespace {
HWY_EXPORT(Forward);
HWY_EXPORT(Backward);
HWY_EXPORT(Merge);

void CheckJob(const HeadsJob& job, DType compute) {
  const HeadRows& rows = *job.rows;
  const int64_t T = rows.num_tokens, H = rows.num_groups * rows.group_size, Dh = rows.head_dim;
  CHECK(job.token_major->matrix.rank == 2 && job.token_major->rows() == T);
  CHECK(job.token_major->cols() == H * Dh && Dh <= kMaxHeadDim);
  CHECK(compute == DType::kF32 || compute == DType::kBF16);
  if (job.norm != nullptr) {
    CHECK(job.norm->w.size() == Dh && (!job.norm->rstd || job.norm->rstd.size() == T * H));
    CHECK(!job.norm->xhat || (job.norm->xhat.size() == T * H * Dh));
    CHECK(!job.norm->xhat || job.norm->xhat.dtype == compute);
  }
  if (job.rope != nullptr) {
    CHECK(SameShape(job.rope->cos, job.rope->sin) && job.rope->cos.rows() == T);
    CHECK(2 * job.rope->cos.cols() <= Dh);
  }
}

HeadNorm ValueOf(const HeadNorm* norm) { return norm == nullptr ? HeadNorm() : *norm; }
HeadRope ValueOf(const HeadRope* rope) { return rope == nullptr ? HeadRope() : *rope; }

enum class Direction { kForward, kBackward };

// dw is empty in the forward.
KernelCall CallOf(Direction direction, const HeadNorm* norm, const HeadRope* rope,
                  const Columns& token_major, const HeadRows& rows, const Tensor& dw) {
  static constexpr const char* kNotes[2][2] = {{"", ", rope"}, {", norm", ", norm, rope"}};
  const bool backward = direction == Direction::kBackward;
  const char* note = kNotes[norm != nullptr ? 1 : 0][rope != nullptr ? 1 : 0];
  if (dw) note = rope != nullptr ? ", norm, rope, dw" : ", norm, dw";
  const int64_t all = token_major.size(), T = rows.num_tokens;
  const int64_t norm_flops = norm == nullptr ? 0 : !backward ? 4 : dw ? 9 : 7;
  const int64_t norm_bytes = norm == nullptr ? 0 : BytesOf(norm->w, norm->xhat, norm->rstd, dw, dw);
  const int64_t rope_bytes = rope == nullptr ? 0 : BytesOf(rope->cos, rope->sin);
  return {backward ? "SplitHeadsBackward" : "SplitHeadsForward",
          "heads and rope",
          {"{} x {} x {} x {}", {rows.num_groups, T, rows.group_size, rows.head_dim}, note},
          all * ((rope != nullptr ? 3 : 0) + norm_flops),
          token_major.bytes() + DTypeBytes(rows.dtype, all) + norm_bytes + rope_bytes};
}
}  // namespace

HeadRows::HeadRows(const Tensor& space)
    : data(space.data),
      dtype(space.dtype),
      num_tokens(space.shape[1]),
      num_groups(space.shape[0]),
      group_size(space.rank == 4 ? space.shape[2] : 1),
      head_dim(space.cols()),
      head_stride(num_tokens * group_size * head_dim) {
  CHECK(space.rank == 3 || space.rank == 4);
}

HeadRows::HeadRows(const Tensor& space, int64_t T) : HeadRows(space) {
  CHECK(0 <= T && T <= num_tokens);
  num_tokens = T;
}

HeadRows::HeadRows(const Tensor& space, std::span<const int64_t> rows) : HeadRows(space) {
  num_tokens = static_cast<int64_t>(rows.size());
  row = rows.data();
}

void SplitHeadsForward(const Columns& in, const HeadNorm* norm, const HeadRope* rope,
                       const HeadRows& out) {
  const Kernel here([&] { return CallOf(Direction::kForward, norm, rope, in, out, Tensor()); },
                    [&]() -> Replay {
                      if (out.row != nullptr) return {};  // rows of a cache
                      return [=, n = ValueOf(norm), r = ValueOf(rope)](const Relocate& at) {
                        const HeadNorm moved_norm = at(n);
                        const HeadRope moved_rope = at(r);
                        SplitHeadsForward(at(in), norm == nullptr ? nullptr : &moved_norm,
                                          rope == nullptr ? nullptr : &moved_rope, at(out));
                      };
                    });
  const HeadsJob job{&in, norm, rope, &out};
  CheckJob(job, out.dtype);
  if (here.dry()) return;
  ParallelRanges(in.rows(), RowGrain(in.cols()), [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(Forward)(job, begin, end);
  });
}

void SplitHeadsBackward(const Tensor& dout, const HeadNorm* norm, const HeadRope* rope,
                        const Columns& din, const Tensor& dw) {
  const HeadRows rows(dout);
  const Kernel here([&] { return CallOf(Direction::kBackward, norm, rope, din, rows, dw); },
                    [&]() -> Replay {
                      return [=, n = ValueOf(norm), r = ValueOf(rope)](const Relocate& at) {
                        const HeadNorm moved_norm = at(n);
                        const HeadRope moved_rope = at(r);
                        SplitHeadsBackward(at(dout), norm == nullptr ? nullptr : &moved_norm,
                                           rope == nullptr ? nullptr : &moved_rope, at(din),
                                           at(dw));
                      };
                    });
  const HeadsJob job{&din, norm, rope, &rows};
  CheckJob(job, din.dtype());
  CHECK(dout.dtype == DType::kF32 && (norm == nullptr || (norm->xhat && norm->rstd)));
  CHECK(!dw || (norm != nullptr && dw.size() == rows.head_dim));
  if (here.dry()) return;
  SumOverRows(din.rows(), din.cols(), rows.head_dim, dw ? dw.as<float>() : nullptr,
              [&](int64_t begin, int64_t end, float* line) {
                HWY_DYNAMIC_DISPATCH(Backward)(job, begin, end, line);
              });
}

void MergeHeads(const Tensor& in, const Tensor& out) {
  const Kernel here(
      [&] {
        return KernelCall{"MergeHeads",
                          "heads and rope",
                          {"{} x {}", {out.rows(), out.cols()}},
                          0,
                          BytesOf(in, out)};
      },
      [&] { return Replay([=](const Relocate& at) { MergeHeads(at(in), at(out)); }); });
  CHECK(in.rank == 4 && out.rank == 2 && out.rows() == in.shape[1] && in.size() == out.size());
  CHECK(IsCompute(out) && (in.dtype == DType::kF32 || in.dtype == out.dtype));
  if (here.dry()) return;
  ParallelRanges(out.rows(), RowGrain(out.cols()), [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(Merge)(in, out, begin, end);
  });
}

}  // namespace lorikeet
#endif  // HWY_ONCE
