// Causal grouped-query attention over packed or cached sequences, and its gradient.
// C = f32|bf16, the compute dtype. H = K * G query heads share K kv heads; head h = k * G + g.
//
// Queries are taken in blocks of kAttentionBlock positions, aligned to the sequence's start; a
// block multiplies the keys up to its own end, so the product shapes that a row meets depend on the
// row's position alone. Hence the bit rule: a query's output does not depend on what else is in the
// batch, nor on whether its keys come from the batch or from a cache, nor on whether they lie in
// one piece, in pages or begin in a prefix.
#pragma once
#include <cstdint>
#include <span>

#include "core/tensor.h"

namespace lorikeet {

inline constexpr int64_t kAttentionBlock = 64;
// Rows that must exist, zeroed or finite, behind the last key: blocks read up to their own end.
inline constexpr int64_t kAttentionPadding = kAttentionBlock - 1;

// One sequence: its queries in the batch and where its keys and values lie. Query i (0-based)
// stands at position kv_len - q_len + i and sees the keys up to that position.
struct AttentionSequence {
  int64_t q_begin = 0;  // first row in q, out, lse
  int64_t q_len = 0;
  int64_t kv_len = 0;  // with those of the prefix
  // (kv_len, Dh) C of kv head 0; head j is head_stride * j elements further.
  const void* k = nullptr;
  const void* v = nullptr;
  int64_t head_stride = 0;
  // Index in the call's sequences of the one whose keys come before this one's: a prompt with
  // several answers is computed once. k and v are then this one's own, without the prefix. A prefix
  // has none itself and all its queries in the batch. -1: none.
  int64_t prefix = -1;
  // Page table of a sequence whose keys and values lie in pages of (kAttentionBlock, Dh) per head:
  // position p is row p % kAttentionBlock of page pages[p / kAttentionBlock]. k and v are then
  // those of page 0, and page i lies page_stride * i elements further. Empty: one piece, as above.
  std::span<const int32_t> pages = {};
  int64_t page_stride = 0;
};

// Numbers of heads and the scale of one attention call.
struct AttentionShape {
  int64_t kv_heads = 0, group = 0, head_dim = 0;  // K, G, Dh
  float scale = 1.0F;                             // of the scores, 1 / sqrt(Dh)
};

// out (T, H * Dh) C, token-major; lse (K, T, G) f32: the log of the softmax's denominator, kept for
// the backward, may be empty. q (K, T, G, Dh) C.
void AttentionForward(const AttentionShape& shape, const Tensor& q,
                      std::span<const AttentionSequence> sequences, const Tensor& out,
                      const Tensor& lse);

// dout (T, H * Dh) f32, lse as the forward left it. dq (K, T, G, Dh), dk and dv (K, T, Dh) f32 are
// written, not added to. The keys must come from the batch: kv_len == q_len, but for a prefix.
void AttentionBackward(const AttentionShape& shape, const Tensor& dout, const Tensor& q,
                       std::span<const AttentionSequence> sequences, const Tensor& lse,
                       const Tensor& dq, const Tensor& dk, const Tensor& dv);

// Memory that both take besides their operands and keep for the next call, for T tokens in
// sequences of up to `longest`: of every thread for one query block, and the shares of long
// sequences. shared_prefixes: at most, for any cut of the T tokens into prefixes and what follows.
int64_t AttentionScratchBytes(const AttentionShape& shape, DType dtype, int64_t T, int64_t longest,
                              int threads, bool shared_prefixes = false);

}  // namespace lorikeet
