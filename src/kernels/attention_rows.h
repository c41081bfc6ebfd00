// The elementwise parts of attention on one block of M = tokens * G query rows. C = f32|bf16.
#pragma once
#include <algorithm>
#include <cstdint>

#include "core/tensor.h"

namespace lorikeet {

// Number of keys in a piece; piece i of a block lies at offset M * kKeyPiece * i.
inline constexpr int64_t kKeyPiece = 512;

// Row r belongs to token t = r / group and sees the block's keys [End(t) - window, End(t)).
struct RowBlock {
  int64_t rows = 0, group = 1;
  int64_t visible = 0;  // end of the keys that the first token attends to
  int64_t window = 0;   // 0: no window, all keys up to the end
  float scale = 1.0F;

  int64_t Begin(int64_t token) const {
    return window == 0 ? 0 : std::max<int64_t>(0, End(token) - window);
  }
  int64_t End(int64_t token) const { return visible + token; }
};

// n scores in place: s = softcap * tanh(scale * s / softcap). slopes (n) f32, may be null: the
// derivative of the new score by the old one.
void CapScores(float* scores, int64_t n, float scale, float softcap, float* slopes);

// scores: f32 pieces of (rows, keys); probs: C pieces of the same form, exp(scale * s - max), 0
// where not visible. inverse_sum, lse (rows) f32; lse may be null.
void SoftmaxBlock(const RowBlock& block, int64_t keys, const float* scores, void* probs,
                  DType dtype, float* inverse_sum, float* lse);

// out row of token t, head h <- values (rows, Dh) f32 * inverse_sum, rounded to C; `out` points to
// the first token's first head of this group, tokens lie out_stride elements apart.
void WriteAttentionRows(const RowBlock& block, int64_t head_dim, const float* values,
                        const float* inverse_sum, void* out, DType dtype, int64_t out_stride);

// dout_c (rows, Dh) C <- dout f32, laid out as WriteAttentionRows's out.
void ReadAttentionGradient(const RowBlock& block, int64_t head_dim, const float* dout,
                           int64_t stride, void* dout_c, DType dtype);

// One piece, keys [first_key, first_key + keys), transposed: scores (keys, rows) f32 -> probs
// (keys, rows) C = exp(scale * s - lse[row]), 0 where not visible. The scores are replaced by the
// unrounded probabilities: these sum to 1 per row, so that the gradient of the scores sums to 0.
void TransposedProbs(const RowBlock& block, int64_t first_key, int64_t keys, float* scores,
                     const float* lse, void* probs, DType dtype);

// delta (rows) f32 += sum over keys of probs * dprobs, both (keys, rows) f32. Computed from the
// same rounded operands as dprobs, not from out * dout: so the gradient of a row's scores sums to 0
// up to f32, as it must for a softmax, and queries and keys get accurate gradients in bf16 too.
void AddDelta(int64_t rows, int64_t keys, const float* probs, const float* dprobs, float* delta);

// dscores (keys, rows) C = probs * (dprobs - delta[row]) * scale, probs f32. slopes (keys, rows)
// f32 of CapScores: in place of the scale; null: none.
void TransposedScoreGradient(const RowBlock& block, int64_t keys, const float* probs,
                             const float* dprobs, const float* delta, const float* slopes,
                             void* dscores, DType dtype);

}  // namespace lorikeet
