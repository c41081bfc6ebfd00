#include "kernels/attention_rows.h"

#include <algorithm>
#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention_rows.cc"
#include <hwy/foreach_target.h>
// foreach_target.h first
#include <hwy/contrib/math/math-inl.h>

#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lorikeet::HWY_NAMESPACE {
namespace {

// Offset of row r's scores in a piece, their number, and the visible ones among them.
struct Piece {
  int64_t offset, keys, begin, end;

  int64_t visible() const { return end - begin; }
};
Piece PieceOf(const RowBlock& block, int64_t keys, int64_t r, int64_t first) {
  const int64_t here = std::min(kKeyPiece, keys - first), token = r / block.group;
  return {block.rows * first + r * here, here,
          std::clamp<int64_t>(block.Begin(token) - first, 0, here),
          std::clamp<int64_t>(block.End(token) - first, 0, here)};
}

float MaxOf(const float* s, int64_t n) {
  Vec max = Set(-INFINITY);
  const int64_t N = Lanes();
  int64_t i = 0;
  for (; i + N <= n; i += N) max = hn::Max(max, Load(s + i));
  float result = hn::GetLane(hn::MaxOfLanes(F32(), max));
  for (; i < n; ++i) result = std::max(result, s[i]);
  return result;
}

// p = C(exp(scale * s - shift)) over n, returns their sum before rounding.
template <class C>
float ExpRow(const float* s, int64_t n, float scale, float shift, C* p) {
  const Vec a = Set(scale), b = Set(shift);
  Vec sum0 = Set(0), sum1 = Set(0);
  const int64_t N = Lanes();
  int64_t i = 0;
  for (; i + 2 * N <= n; i += 2 * N) {
    const Vec e0 = ExpNonPositive(hn::MulSub(Load(s + i), a, b));
    const Vec e1 = ExpNonPositive(hn::MulSub(Load(s + i + N), a, b));
    Store(e0, p + i);
    Store(e1, p + i + N);
    sum0 = hn::Add(sum0, e0);
    sum1 = hn::Add(sum1, e1);
  }
  for (; i + N <= n; i += N) {
    const Vec e = ExpNonPositive(hn::MulSub(Load(s + i), a, b));
    Store(e, p + i);
    sum0 = hn::Add(sum0, e);
  }
  if (i < n) {  // the lanes past n must not count: e^(0 - shift) is not zero
    const Part lanes{n - i};
    const Vec e = hn::IfThenElseZero(hn::FirstN(F32(), static_cast<size_t>(n - i)),
                                     ExpNonPositive(hn::MulSub(lanes.Load(s + i), a, b)));
    lanes.Store(e, p + i);
    sum1 = hn::Add(sum1, e);
  }
  return hn::GetLane(hn::SumOfLanes(F32(), hn::Add(sum0, sum1)));
}

template <class C>
void SoftmaxRows(const RowBlock& block, int64_t keys, const float* scores, C* probs,
                 float* inverse_sum, float* lse) {
  for (int64_t r = 0; r < block.rows; ++r) {
    float max = -INFINITY;
    for (int64_t first = 0; first < keys; first += kKeyPiece) {
      const Piece piece = PieceOf(block, keys, r, first);
      max = std::max(max, MaxOf(scores + piece.offset + piece.begin, piece.visible()));
    }
    max *= block.scale;
    float sum = 0;
    for (int64_t first = 0; first < keys; first += kKeyPiece) {
      const Piece piece = PieceOf(block, keys, r, first);
      C* p = probs + piece.offset;
      std::fill(p, p + piece.begin, C{});
      sum += ExpRow(scores + piece.offset + piece.begin, piece.visible(), block.scale, max,
                    p + piece.begin);
      std::fill(p + piece.end, p + piece.keys, C{});
    }
    inverse_sum[r] = 1.0F / sum;
    if (lse != nullptr) lse[r] = max + std::log(sum);
  }
}

void Softmax(const RowBlock& block, int64_t keys, const float* scores, void* probs, DType dtype,
             float* inverse_sum, float* lse) {
  if (dtype == DType::kF32) {
    SoftmaxRows(block, keys, scores, static_cast<float*>(probs), inverse_sum, lse);
  } else {
    SoftmaxRows(block, keys, scores, static_cast<bfloat16*>(probs), inverse_sum, lse);
  }
}

template <class C>
void WriteRowsAs(const RowBlock& block, int64_t head_dim, const float* values,
                 const float* inverse_sum, C* out, int64_t out_stride) {
  for (int64_t r = 0; r < block.rows; ++r) {
    const float* from = values + r * head_dim;
    C* to = out + r / block.group * out_stride + r % block.group * head_dim;
    const Vec scale = Set(inverse_sum[r]);
    ForVectors(head_dim, [=](auto lanes, int64_t i) HWY_ATTR {
      lanes.Store(hn::Mul(lanes.Load(from + i), scale), to + i);
    });
  }
}

void WriteRows(const RowBlock& block, int64_t head_dim, const float* values,
               const float* inverse_sum, void* out, DType dtype, int64_t out_stride) {
  if (dtype == DType::kF32) {
    WriteRowsAs(block, head_dim, values, inverse_sum, static_cast<float*>(out), out_stride);
  } else {
    WriteRowsAs(block, head_dim, values, inverse_sum, static_cast<bfloat16*>(out), out_stride);
  }
}

template <class C>
void ReadGradientAs(const RowBlock& block, int64_t head_dim, const float* dout, int64_t stride,
                    C* dout_c) {
  for (int64_t r = 0; r < block.rows; ++r) {
    const float* g = dout + r / block.group * stride + r % block.group * head_dim;
    C* to = dout_c + r * head_dim;
    ForVectors(head_dim,
               [=](auto lanes, int64_t i) HWY_ATTR { lanes.Store(lanes.Load(g + i), to + i); });
  }
}

void ReadGradient(const RowBlock& block, int64_t head_dim, const float* dout, int64_t stride,
                  void* dout_c, DType dtype) {
  if (dtype == DType::kF32) {
    ReadGradientAs(block, head_dim, dout, stride, static_cast<float*>(dout_c));
  } else {
    ReadGradientAs(block, head_dim, dout, stride, static_cast<bfloat16*>(dout_c));
  }
}

void Delta(int64_t rows, int64_t keys, const float* probs, const float* dprobs, float* delta) {
  // Key by key into the rows' sums: a fixed order, and every load is whole.
  for (int64_t j = 0; j < keys; ++j) {
    const float* p = probs + j * rows;
    const float* d = dprobs + j * rows;
    ForVectors(rows, [=](auto lanes, int64_t i) HWY_ATTR {
      lanes.Store(hn::MulAdd(lanes.Load(p + i), lanes.Load(d + i), lanes.Load(delta + i)),
                  delta + i);
    });
  }
}

template <class C>
void ProbsAs(const RowBlock& block, int64_t first_key, int64_t keys, float* scores,
             const float* lse, C* probs) {
  const Vec scale = Set(block.scale);
  for (int64_t j = 0; j < keys; ++j) {
    float* s = scores + j * block.rows;
    C* p = probs + j * block.rows;
    // Key j is seen by the tokens from `token` on, `window` of them if there is a window.
    const int64_t token = first_key + j + 1 - block.visible;
    const int64_t last = block.window == 0 ? block.rows : (token + block.window) * block.group;
    const int64_t begin = std::clamp<int64_t>(token * block.group, 0, block.rows);
    const int64_t end = std::clamp<int64_t>(last, begin, block.rows);
    std::fill(p, p + begin, C{});
    std::fill(s, s + begin, 0.0F);
    ForVectors(end - begin, [=](auto lanes, int64_t i) HWY_ATTR {
      const Vec x = hn::MulSub(lanes.Load(s + begin + i), scale, lanes.Load(lse + begin + i));
      const Vec e = ExpNonPositive(x);
      lanes.Store(e, s + begin + i);
      lanes.Store(e, p + begin + i);
    });
    std::fill(p + end, p + block.rows, C{});
    std::fill(s + end, s + block.rows, 0.0F);
  }
}

void Probs(const RowBlock& block, int64_t first_key, int64_t keys, float* scores, const float* lse,
           void* probs, DType dtype) {
  if (dtype == DType::kF32) {
    ProbsAs(block, first_key, keys, scores, lse, static_cast<float*>(probs));
  } else {
    ProbsAs(block, first_key, keys, scores, lse, static_cast<bfloat16*>(probs));
  }
}

template <bool kCapped, class C>
void ScoreGradientAs(const RowBlock& block, int64_t keys, const float* probs, const float* dprobs,
                     const float* delta, const float* slopes, C* dscores) {
  const Vec scale = Set(block.scale);
  for (int64_t j = 0; j < keys; ++j) {
    const int64_t at = j * block.rows;
    ForVectors(block.rows, [=](auto lanes, int64_t i) HWY_ATTR {
      const Vec inner = hn::Sub(lanes.Load(dprobs + at + i), lanes.Load(delta + i));
      const Vec slope = kCapped ? lanes.Load(slopes + at + i) : scale;
      lanes.Store(hn::Mul(hn::Mul(lanes.Load(probs + at + i), inner), slope), dscores + at + i);
    });
  }
}

void ScoreGradient(const RowBlock& block, int64_t keys, const float* probs, const float* dprobs,
                   const float* delta, const float* slopes, void* dscores, DType dtype) {
  if (dtype == DType::kF32) {
    const auto rows =
        slopes != nullptr ? ScoreGradientAs<true, float> : ScoreGradientAs<false, float>;
    rows(block, keys, probs, dprobs, delta, slopes, static_cast<float*>(dscores));
  } else {
    const auto rows =
        slopes != nullptr ? ScoreGradientAs<true, bfloat16> : ScoreGradientAs<false, bfloat16>;
    rows(block, keys, probs, dprobs, delta, slopes, static_cast<bfloat16*>(dscores));
  }
}

void Cap(float* scores, int64_t n, float scale, float softcap, float* slopes) {
  const Vec factor = Set(scale / softcap), cap = Set(softcap), slope = Set(scale);
  ForVectors(n, [=](auto lanes, int64_t i) HWY_ATTR {
    const Vec tanh = hn::Tanh(F32(), hn::Mul(factor, lanes.Load(scores + i)));
    lanes.Store(hn::Mul(cap, tanh), scores + i);
    if (slopes == nullptr) return;
    lanes.Store(hn::Mul(slope, hn::NegMulAdd(tanh, tanh, Set(1))), slopes + i);
  });
}

}  // namespace
}  // namespace lorikeet::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lorikeet {
namespace {
HWY_EXPORT(Softmax);
HWY_EXPORT(WriteRows);
HWY_EXPORT(ReadGradient);
HWY_EXPORT(Delta);
HWY_EXPORT(Probs);
HWY_EXPORT(ScoreGradient);
HWY_EXPORT(Cap);
}  // namespace

void SoftmaxBlock(const RowBlock& block, int64_t keys, const float* scores, void* probs,
                  DType dtype, float* inverse_sum, float* lse) {
  HWY_DYNAMIC_DISPATCH(Softmax)(block, keys, scores, probs, dtype, inverse_sum, lse);
}

void WriteAttentionRows(const RowBlock& block, int64_t head_dim, const float* values,
                        const float* inverse_sum, void* out, DType dtype, int64_t out_stride) {
  HWY_DYNAMIC_DISPATCH(WriteRows)(block, head_dim, values, inverse_sum, out, dtype, out_stride);
}

void ReadAttentionGradient(const RowBlock& block, int64_t head_dim, const float* dout,
                           int64_t stride, void* dout_c, DType dtype) {
  HWY_DYNAMIC_DISPATCH(ReadGradient)(block, head_dim, dout, stride, dout_c, dtype);
}

void AddDelta(int64_t rows, int64_t keys, const float* probs, const float* dprobs, float* delta) {
  HWY_DYNAMIC_DISPATCH(Delta)(rows, keys, probs, dprobs, delta);
}

void TransposedProbs(const RowBlock& block, int64_t first_key, int64_t keys, float* scores,
                     const float* lse, void* probs, DType dtype) {
  HWY_DYNAMIC_DISPATCH(Probs)(block, first_key, keys, scores, lse, probs, dtype);
}

void TransposedScoreGradient(const RowBlock& block, int64_t keys, const float* probs,
                             const float* dprobs, const float* delta, const float* slopes,
                             void* dscores, DType dtype) {
  HWY_DYNAMIC_DISPATCH(ScoreGradient)(block, keys, probs, dprobs, delta, slopes, dscores, dtype);
}

void CapScores(float* scores, int64_t n, float scale, float softcap, float* slopes) {
  HWY_DYNAMIC_DISPATCH(Cap)(scores, n, scale, softcap, slopes);
}

}  // namespace lorikeet
#endif  // HWY_ONCE
