// Causal grouped-query attention over packed or cached sequences, and its gradient.
// C = f32|bf16, the compute dtype. H = K * G query heads share K kv heads; head h = k * G + g.
//
// Queries are processed in blocks of kAttentionBlock positions, aligned to the sequence's start. A
// block multiplies the keys up to its own end, with a window only from the block of keys on that
// holds the first one in the window of the block's first position. So the shapes of the products
// that compute a row depend on the row's position alone. Hence the bit rule: a query's output does
// not depend on the rest of the batch, on whether its keys come from the batch or from a cache, or
// on whether they lie in one piece, in pages or partly in a prefix.
#pragma once
#include <cstdint>
#include <span>

#include "core/tensor.h"

namespace lorikeet {

inline constexpr int64_t kAttentionBlock = 64;
// Number of rows after the last key that must exist and be finite: blocks read up to their own end.
inline constexpr int64_t kAttentionPadding = kAttentionBlock - 1;

// One sequence: its queries in the batch, and the location of its keys and values. Query i
// (0-based) is at position kv_len - q_len + i and attends to the keys up to that position.
struct AttentionSequence {
  int64_t q_begin = 0;  // first row in q, out, lse
  int64_t q_len = 0;
  int64_t kv_len = 0;  // number of keys, the prefix's included
  // (kv_len, Dh) C for kv head 0; head j lies head_stride * j elements further.
  const void* k = nullptr;
  const void* v = nullptr;
  int64_t head_stride = 0;
  // Index of the prefix among the call's sequences, -1 if there is none. The prefix's keys come
  // before those of this sequence, so that a prompt with several completions is computed once; k
  // and v are then without the prefix. A prefix has no prefix itself and has all its queries in the
  // batch.
  int64_t prefix = -1;
  // Page table of a sequence whose keys and values lie in pages of (kAttentionBlock, Dh) per head:
  // position p is row p % kAttentionBlock of page pages[p / kAttentionBlock]. k and v then point to
  // page 0, and page i lies page_stride * i elements further. Empty: one piece, as above.
  std::span<const int32_t> pages = {};
  int64_t page_stride = 0;
};

// Numbers of heads of one attention call, and what becomes of its scores.
struct AttentionShape {
  int64_t kv_heads = 0, group = 0, head_dim = 0;  // K, G, Dh
  float scale = 1.0F;                             // factor of the scores, 1 / sqrt(Dh)
  // Number of keys that a query attends to: the query at position i sees the keys at positions
  // above i - window, up to i. 0: all of them up to i.
  int64_t window = 0;
  // A score s = scale * q . k becomes softcap * tanh(s / softcap) before the softmax. 0: it does
  // not.
  float softcap = 0;
};

// q (K, T, G, Dh) C; out (T, H * Dh) C, token-major; lse (K, T, G) f32, the log of the softmax's
// denominator, for the backward; may be empty.
void AttentionForward(const AttentionShape& shape, const Tensor& q,
                      std::span<const AttentionSequence> sequences, const Tensor& out,
                      const Tensor& lse);

// dout (T, H * Dh) f32, lse as the forward wrote it. dq (K, T, G, Dh), dk and dv (K, T, Dh) f32 are
// written, not added to. All keys must come from the batch: kv_len is q_len plus the length of the
// prefix.
void AttentionBackward(const AttentionShape& shape, const Tensor& dout, const Tensor& q,
                       std::span<const AttentionSequence> sequences, const Tensor& lse,
                       const Tensor& dq, const Tensor& dk, const Tensor& dv);

// Number of pairs of a query and a key that it attends to, for queries at positions [begin, end).
int64_t AttentionPairs(int64_t begin, int64_t end, int64_t window);

// Bytes of scratch memory that forward and backward use and keep for the next call, for T tokens in
// sequences of up to `longest`: one query block per thread, and partial gradients of long
// sequences. shared_prefixes: the maximum over all ways to divide the T tokens into prefixes and
// continuations.
int64_t AttentionScratchBytes(const AttentionShape& shape, DType dtype, int64_t T, int64_t longest,
                              int threads, bool shared_prefixes = false);

}  // namespace lorikeet
