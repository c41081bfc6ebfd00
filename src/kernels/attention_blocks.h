// Common parts of attention's forward and backward: blocks of queries, and views of the operands of
// a block. Included by attention*.cc only.
#pragma once
#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "core/round_up.h"
#include "core/tensor.h"
#include "kernels/attention.h"
#include "kernels/attention_rows.h"
#include "kernels/trace.h"

namespace lorikeet {

inline int64_t RoundUpToBlock(int64_t n) { return RoundUp(n, kAttentionBlock); }

// Query tokens [begin, end) of one sequence, inside one block of positions, for one kv head.
struct QueryBlock {
  const AttentionSequence* sequence;
  const AttentionSequence* prefix;  // null: none
  int64_t kv_head;
  int64_t begin, end;  // within the sequence's queries
  int64_t first_key;   // position of the first key that is multiplied, a multiple of the block

  int64_t tokens() const { return end - begin; }
  int64_t FirstPosition() const { return sequence->kv_len - sequence->q_len + begin; }
  // Position behind the last key, and the number of keys.
  int64_t KeysEnd() const { return RoundUpToBlock(FirstPosition() + 1); }
  int64_t Keys() const { return KeysEnd() - first_key; }
  // True if the keys may lie in several pieces of memory.
  bool Scattered() const { return prefix != nullptr || !sequence->pages.empty(); }
};

// Maximum number of scores computed at once: with long contexts blocks have fewer query rows, with
// the same bits.
inline constexpr int64_t kMaxScores = 1 << 20;

// Position of the first key of the query block at positions [begin, begin + kAttentionBlock).
inline int64_t FirstKey(int64_t begin, int64_t window) {
  const int64_t seen = begin - window + 1;  // the first one in the window of the first query
  return window == 0 || seen <= 0 ? 0 : seen / kAttentionBlock * kAttentionBlock;
}

// Largest number of keys of a query block in a sequence of `length` tokens.
inline int64_t MaxBlockKeys(int64_t length, int64_t window) {
  const int64_t all = RoundUpToBlock(length);
  return window == 0 ? all : std::min(all, RoundUpToBlock(window - 1) + kAttentionBlock);
}

// Appends blocks of a sequence's queries, cut at multiples of kAttentionBlock positions and finer
// where a block would have more than kMaxScores scores.
void AppendBlocks(const AttentionShape& shape, const AttentionSequence& sequence,
                  const AttentionSequence* prefix, int64_t kv_head,
                  std::vector<QueryBlock>* blocks);

// The rows of a block, their visible keys counted from the block's first key.
RowBlock RowBlockOf(const AttentionShape& shape, const QueryBlock& block);

// A `ScratchAllocator` hands out pieces of the thread's scratch memory, which is kept for the next
// call.
class ScratchAllocator {
 public:
  explicit ScratchAllocator(int64_t bytes);
  Tensor Take(DType dtype, int64_t rows, int64_t cols) {
    const Tensor tensor(next_, dtype, {rows, cols});
    next_ += Taken(tensor.bytes());
    return tensor;
  }
  // Bytes that a piece takes, alignment included.
  static int64_t Taken(int64_t bytes) { return RoundUp<int64_t>(bytes, 64); }

 private:
  std::byte* next_;
};

Tensor RowsAt(const void* data, DType dtype, int64_t first_element, int64_t rows, int64_t cols);

// The prefix of a sequence; null if it has none.
const AttentionSequence* PrefixOf(const AttentionSequence& sequence,
                                  std::span<const AttentionSequence> sequences);

// Views of one kv head of one sequence.
struct HeadView {
  const AttentionShape& shape;
  const Tensor& q;
  const AttentionSequence& sequence;
  const AttentionSequence* prefix;
  int64_t kv_head;

  HeadView(const AttentionShape& attention, const Tensor& queries, const QueryBlock& block)
      : shape(attention),
        q(queries),
        sequence(*block.sequence),
        prefix(block.prefix),
        kv_head(block.kv_head) {}

  Tensor Queries(const Tensor& like_q, int64_t begin, int64_t end) const {
    const int64_t T = like_q.shape[1], row = shape.group * shape.head_dim;
    return RowsAt(like_q.data, like_q.dtype, (kv_head * T + sequence.q_begin + begin) * row,
                  (end - begin) * shape.group, shape.head_dim);
  }
  int64_t PrefixLength() const { return prefix == nullptr ? 0 : prefix->kv_len; }
  // Keys or values of positions [first, first + count), which lie all in the prefix or all after
  // it.
  Tensor Keys(int64_t first, int64_t count) const {
    return Of(&AttentionSequence::k, first, count);
  }
  Tensor Values(int64_t first, int64_t count) const {
    return Of(&AttentionSequence::v, first, count);
  }
  // The same for any positions (whole pages if there are pages), as one dense operand. Positions
  // that begin in the prefix and end after it, or lie in pages that are not adjacent, are copied to
  // `gathered`.
  Tensor DenseKeys(int64_t first, int64_t count, const Tensor& gathered) const {
    return Dense(&AttentionSequence::k, first, count, gathered);
  }
  Tensor DenseValues(int64_t first, int64_t count, const Tensor& gathered) const {
    return Dense(&AttentionSequence::v, first, count, gathered);
  }
  // Offset of a token's first head of this group in a token-major (T, H * Dh) tensor.
  int64_t TokenMajor(int64_t token) const {
    return ((sequence.q_begin + token) * shape.kv_heads + kv_head) * shape.group * shape.head_dim;
  }
  int64_t TokenStride() const { return shape.kv_heads * shape.group * shape.head_dim; }
  float* Lse(const Tensor& lse, int64_t token) const {
    if (!lse) return nullptr;
    return lse.as<float>() + (kv_head * lse.shape[1] + sequence.q_begin + token) * shape.group;
  }

 private:
  using Which = const void* AttentionSequence::*;
  Tensor Of(Which which, int64_t first, int64_t count) const;
  Tensor Dense(Which which, int64_t first, int64_t count, const Tensor& gathered) const;
  Tensor DensePages(Which which, int64_t first, int64_t count, const Tensor& gathered) const;
};

// The KernelCall of a kernel that computes `products` products of the scores' size. bytes: size of
// its operands, without keys and values.
KernelCall AttentionCall(const char* kernel, const char* part, const AttentionShape& shape,
                         std::span<const AttentionSequence> sequences, DType dtype, int products,
                         int64_t bytes);

// Bytes of scratch memory that a thread needs for one query block of the forward.
int64_t ForwardBlockBytes(DType dtype, int64_t rows, int64_t keys, int64_t head_dim, bool gathers);

}  // namespace lorikeet
