// Conversions between the token-major rows of a projection and the dense per-head matrices of
// attention, with the norm per head and the rotary embedding. H = K * G query heads share K kv
// heads; query head h = k * G + g. Keys and values have G = 1. C = f32|bf16, the compute dtype.
#pragma once
#include <cstdint>
#include <span>

#include "core/tensor.h"
#include "kernels/columns.h"
#include "kernels/rms_norm.h"

namespace lorikeet {

// RMSNorm over Dh of every head, usually before the rotation, as kernels/rms_norm.h defines it, but
// that the product g * xhat stays in f32.
struct HeadNorm {
  Tensor w;  // (Dh) f32
  float eps = 1e-6F;
  // Kept for the backward; empty if none follows.
  Tensor xhat;  // (T,H*Dh) C
  Tensor rstd;  // (T,H) f32
  NormKind kind = NormKind::kRms;
  bool after_rope = false;  // the norm of the rotated head
};

// Rotary position embedding of pairs (i, i + R), or of neighbours (2i, 2i + 1), R = rotary
// dimensions / 2 <= Dh / 2; elements beyond 2R are not rotated. One row of each table per token, as
// RopeTable::FillCosSin writes it.
struct HeadRope {
  Tensor cos;  // (T,R) f32
  Tensor sin;  // (T,R) f32
  bool interleaved = false;
};

// Location of the rows of heads: token t of kv head k is at data + k * head_stride + Row(t) * G *
// Dh elements. `space` is (K,S,G,Dh), or (K,S,Dh) if G = 1.
struct HeadRows {
  HeadRows(const Tensor& space);             // NOLINT(google-explicit-constructor): T = S
  HeadRows(const Tensor& space, int64_t T);  // T <= S: padding rows after the tokens stay untouched
  // A cache: token t has row rows[t], counted from space.data, also beyond S if the spaces of
  // several sequences are adjacent. Rows must differ, or threads would race.
  HeadRows(const Tensor& space, std::span<const int64_t> rows);

  int64_t Row(int64_t t) const { return row == nullptr ? t : row[t]; }

  void* data;
  DType dtype;
  int64_t num_tokens, num_groups, group_size, head_dim;
  int64_t head_stride;
  const int64_t* row = nullptr;  // null: identity
};

// out = C(rotate(norm(in))), or C(norm(rotate(in))), one rounding at the end. in (T,K*G*Dh) f32;
// norm and rope may be null. The bits do not depend on whether norm keeps xhat and rstd.
void SplitHeadsForward(const Columns& in, const HeadNorm* norm, const HeadRope* rope,
                       const HeadRows& out);

// dout (K,T,G,Dh), or (K,T,Dh), f32 -> din (T,K*G*Dh) C; norm->xhat and norm->rstd as the forward
// kept them; dw (Dh) f32 +=, or an empty Tensor.
void SplitHeadsBackward(const Tensor& dout, const HeadNorm* norm, const HeadRope* rope,
                        const Columns& din, const Tensor& dw);

// in (K,T,G,Dh) f32|C -> out (T,K*G*Dh) C. Its gradient is SplitHeadsForward(dout, null, null,
// din).
void MergeHeads(const Tensor& in, const Tensor& out);

}  // namespace lorikeet
