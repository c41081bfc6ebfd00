#include "kernels/attention.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "core/arena.h"
#include "core/parallel.h"
#include "core/profile.h"
#include "kernels/attention_rows.h"
#include "kernels/matmul.h"

namespace lorikeet {
namespace {

int64_t RoundUpToBlock(int64_t n) {
  return (n + kAttentionBlock - 1) / kAttentionBlock * kAttentionBlock;
}

// Query tokens [begin, end) of one sequence, inside one block of positions, for one kv head.
struct QueryBlock {
  const AttentionSequence* sequence;
  int64_t kv_head;
  int64_t begin, end;  // within the sequence's queries

  int64_t tokens() const { return end - begin; }
  int64_t FirstVisible() const { return sequence->kv_len - sequence->q_len + begin + 1; }
  int64_t Keys() const { return RoundUpToBlock(FirstVisible()); }
};

// At most this many scores at once: long contexts take fewer query rows, whose bits do not change.
constexpr int64_t kMaxScores = 1 << 20;

// Cuts a sequence's queries at multiples of kAttentionBlock positions, and finer where the scores
// of a block would not fit.
void AppendBlocks(const AttentionSequence& sequence, int64_t kv_head, int64_t group,
                  std::vector<QueryBlock>* blocks) {
  const int64_t offset = sequence.kv_len - sequence.q_len;
  for (int64_t begin = 0; begin < sequence.q_len;) {
    const int64_t keys = RoundUpToBlock(offset + begin + 1);
    const int64_t fits = std::max<int64_t>(1, kMaxScores / (keys * group));
    const int64_t end = std::min({sequence.q_len, keys - offset, begin + fits});
    blocks->push_back({&sequence, kv_head, begin, end});
    begin = end;
  }
}

// Memory of one thread, reused from call to call.
std::byte* ThreadScratch(int64_t bytes) {
  static thread_local Buffer buffer;
  if (buffer.tensor().size() < bytes) buffer = Buffer(DType::kU8, {bytes});
  return static_cast<std::byte*>(buffer.tensor().data);
}

// Hands out pieces of a thread's scratch memory.
class Carver {
 public:
  explicit Carver(int64_t bytes) : next_(ThreadScratch(bytes)) {}
  Tensor Take(DType dtype, int64_t rows, int64_t cols) {
    const Tensor tensor(next_, dtype, {rows, cols});
    next_ += RoundUp(tensor.bytes());
    return tensor;
  }
  static int64_t RoundUp(int64_t bytes) { return (bytes + 63) / 64 * 64; }

 private:
  std::byte* next_;
};

Tensor RowsAt(const void* data, DType dtype, int64_t first_element, int64_t rows, int64_t cols) {
  return Tensor(static_cast<std::byte*>(const_cast<void*>(data)) + DTypeBytes(dtype, first_element),
                dtype, {rows, cols});
}

// Views of one kv head of one sequence.
struct HeadView {
  const AttentionShape& shape;
  const Tensor& q;
  const AttentionSequence& sequence;
  int64_t kv_head;

  Tensor Queries(const Tensor& like_q, int64_t begin, int64_t end) const {
    const int64_t T = like_q.shape[1], row = shape.group * shape.head_dim;
    return RowsAt(like_q.data, like_q.dtype, (kv_head * T + sequence.q_begin + begin) * row,
                  (end - begin) * shape.group, shape.head_dim);
  }
  Tensor Keys(int64_t first, int64_t count) const {
    return RowsAt(sequence.k, q.dtype, kv_head * sequence.head_stride + first * shape.head_dim,
                  count, shape.head_dim);
  }
  Tensor Values(int64_t first, int64_t count) const {
    return RowsAt(sequence.v, q.dtype, kv_head * sequence.head_stride + first * shape.head_dim,
                  count, shape.head_dim);
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
};

void ForwardBlock(const AttentionShape& shape, const Tensor& q, const QueryBlock& block,
                  const Tensor& out, const Tensor& lse) {
  const HeadView head{shape, q, *block.sequence, block.kv_head};
  const int64_t rows = block.tokens() * shape.group, keys = block.Keys();
  const RowBlock row_block{rows, shape.group, block.FirstVisible(), shape.scale};
  Carver carver(Carver::RoundUp(rows * keys * 4) +
                Carver::RoundUp(DTypeBytes(q.dtype, rows * keys)) +
                Carver::RoundUp(rows * shape.head_dim * 4) + Carver::RoundUp(rows * 4));
  const Tensor scores = carver.Take(DType::kF32, rows, keys);
  const Tensor probs = carver.Take(q.dtype, rows, keys);
  const Tensor values = carver.Take(DType::kF32, rows, shape.head_dim);
  const Tensor inverse_sum = carver.Take(DType::kF32, 1, rows);

  const Tensor queries = head.Queries(q, block.begin, block.end);
  for (int64_t first = 0; first < keys; first += kKeyPiece) {
    const int64_t count = std::min(kKeyPiece, keys - first);
    MatMul(queries, head.Keys(first, count),
           RowsAt(scores.data, DType::kF32, rows * first, rows, count), MatMulKind::kNT);
  }
  SoftmaxBlock(row_block, keys, scores.as<float>(), probs.data, q.dtype, inverse_sum.as<float>(),
               head.Lse(lse, block.begin));
  for (int64_t first = 0; first < keys; first += kKeyPiece) {
    const int64_t count = std::min(kKeyPiece, keys - first);
    MatMul(RowsAt(probs.data, q.dtype, rows * first, rows, count), head.Values(first, count),
           values, MatMulKind::kNN, /*accumulate=*/first > 0);
  }
  const Tensor to = RowsAt(out.data, out.dtype, head.TokenMajor(block.begin), 1, 1);
  WriteAttentionRows(row_block, shape.head_dim, values.as<float>(), inverse_sum.as<float>(),
                     to.data, out.dtype, head.TokenStride());
}

// One thread's share of the backward: every `stride`-th query block of one kv head, in order. The
// share depends on shapes only, and its dk and dv are summed in a fixed order afterwards.
struct BackwardShare {
  const AttentionSequence* sequence;
  int64_t kv_head;
  int64_t first_block, stride;
  Tensor dk, dv;  // (q_len rounded up, Dh) f32, this share's sums
};

struct BackwardCall {
  const AttentionShape& shape;
  const Tensor &dout, &q, &lse, &dq;
};

// Scratch of one query block in the backward: pieces of (keys, rows), one after another.
struct BackwardScratch {
  Tensor dout_c, delta, scores, probs, dprobs;

  static int64_t Bytes(DType dtype, int64_t rows, int64_t keys, int64_t head_dim) {
    return Carver::RoundUp(DTypeBytes(dtype, rows * head_dim)) + Carver::RoundUp(rows * 4) +
           2 * Carver::RoundUp(rows * keys * 4) + Carver::RoundUp(DTypeBytes(dtype, rows * keys));
  }
  BackwardScratch(DType dtype, int64_t rows, int64_t keys, int64_t head_dim) {
    Carver carver(Bytes(dtype, rows, keys, head_dim));
    dout_c = carver.Take(dtype, rows, head_dim);
    delta = carver.Take(DType::kF32, 1, rows);
    scores = carver.Take(DType::kF32, keys, rows);
    probs = carver.Take(dtype, keys, rows);
    dprobs = carver.Take(DType::kF32, keys, rows);
  }
};

void BackwardBlock(const BackwardCall& call, const BackwardShare& share, const QueryBlock& block) {
  const AttentionShape& shape = call.shape;
  const HeadView head{shape, call.q, *share.sequence, share.kv_head};
  const DType dtype = call.q.dtype;
  const int64_t rows = block.tokens() * shape.group, keys = block.Keys();
  const RowBlock row_block{rows, shape.group, block.FirstVisible(), shape.scale};
  const BackwardScratch scratch(dtype, rows, keys, shape.head_dim);
  float* delta = scratch.delta.as<float>();
  std::fill(delta, delta + rows, 0.0F);
  ReadAttentionGradient(row_block, shape.head_dim,
                        call.dout.as<float>() + head.TokenMajor(block.begin), head.TokenStride(),
                        scratch.dout_c.data, dtype);
  const Tensor queries = head.Queries(call.q, block.begin, block.end);
  const Tensor dqueries = head.Queries(call.dq, block.begin, block.end);
  for (int64_t first = 0; first < keys; first += kKeyPiece) {
    const int64_t end = std::min(keys, first + kKeyPiece), count = end - first;
    const Tensor scores = scratch.scores.Rows(first, end), probs = scratch.probs.Rows(first, end);
    const Tensor dprobs = scratch.dprobs.Rows(first, end);
    MatMul(head.Keys(first, count), queries, scores, MatMulKind::kNT);
    TransposedProbs(row_block, first, count, scores.as<float>(), head.Lse(call.lse, block.begin),
                    probs.data, dtype);
    MatMul(probs, scratch.dout_c, share.dv.Rows(first, end), MatMulKind::kNN, true);
    MatMul(head.Values(first, count), scratch.dout_c, dprobs, MatMulKind::kNT);
    AddDelta(rows, count, scores.as<float>(), dprobs.as<float>(), delta);
  }
  for (int64_t first = 0; first < keys; first += kKeyPiece) {
    const int64_t end = std::min(keys, first + kKeyPiece), count = end - first;
    const Tensor dscores = scratch.probs.Rows(first, end);  // the rounded probabilities are used up
    TransposedScoreGradient(row_block, count, scratch.scores.Rows(first, end).as<float>(),
                            scratch.dprobs.Rows(first, end).as<float>(), delta, dscores.data,
                            dtype);
    MatMul(dscores, queries, share.dk.Rows(first, end), MatMulKind::kNN, true);
    MatMul(dscores, head.Keys(first, count), dqueries, MatMulKind::kTN, /*accumulate=*/first > 0);
  }
}

void RunShare(const BackwardCall& call, const BackwardShare& share) {
  std::memset(share.dk.data, 0, static_cast<size_t>(share.dk.bytes()));
  std::memset(share.dv.data, 0, static_cast<size_t>(share.dv.bytes()));
  std::vector<QueryBlock> blocks;
  AppendBlocks(*share.sequence, share.kv_head, call.shape.group, &blocks);
  for (const QueryBlock& block : blocks) {
    if (block.begin / kAttentionBlock % share.stride == share.first_block) {
      BackwardBlock(call, share, block);
    }
  }
}

// Long sequences are shared by several threads: one share per kSharedBlocks blocks, at most
// kMaxShares.
int64_t SharesOf(int64_t q_len) {
  constexpr int64_t kSharedBlocks = 4, kMaxShares = 4;
  const int64_t blocks = (q_len + kAttentionBlock - 1) / kAttentionBlock;
  return std::clamp<int64_t>(blocks / kSharedBlocks, 1, kMaxShares);
}

// (K, T, Dh) += the shares' sums, in order of the shares.
void SumShares(const std::vector<BackwardShare>& shares, const Tensor& dk, const Tensor& dv) {
  const int64_t T = dk.shape[1], Dh = dk.shape[2];
  const auto add = [&](const BackwardShare& share, const Tensor& from, const Tensor& to) {
    const int64_t at = (share.kv_head * T + share.sequence->q_begin) * Dh;
    const int64_t count = share.sequence->q_len * Dh;
    const float* source = from.as<float>();
    float* sum = to.as<float>() + at;
    if (share.first_block == 0) {
      std::copy(source, source + count, sum);
    } else {
      for (int64_t i = 0; i < count; ++i) sum[i] += source[i];
    }
  };
  std::vector<size_t> heads;  // where each (sequence, kv head) begins
  for (size_t i = 0; i < shares.size(); ++i) {
    if (shares[i].first_block == 0) heads.push_back(i);
  }
  ParallelDynamic(static_cast<int64_t>(heads.size()), [&](int64_t h) {
    const size_t begin = heads[h];
    for (size_t i = begin; i < begin + static_cast<size_t>(shares[begin].stride); ++i) {
      add(shares[i], shares[i].dk, dk);
      add(shares[i], shares[i].dv, dv);
    }
  });
}

}  // namespace

void AttentionForward(const AttentionShape& shape, const Tensor& q,
                      std::span<const AttentionSequence> sequences, const Tensor& out,
                      const Tensor& lse) {
  const TimedPart timed("attention forward");
  CHECK(q.rank == 4 && q.shape[0] == shape.kv_heads && q.shape[2] == shape.group &&
        q.shape[3] == shape.head_dim && out.dtype == q.dtype && out.rows() == q.shape[1]);
  std::vector<QueryBlock> blocks;
  for (const AttentionSequence& sequence : sequences) {
    for (int64_t k = 0; k < shape.kv_heads; ++k) AppendBlocks(sequence, k, shape.group, &blocks);
  }
  // The longest first, so that the threads end together.
  std::stable_sort(blocks.begin(), blocks.end(), [](const QueryBlock& a, const QueryBlock& b) {
    return a.tokens() * a.Keys() > b.tokens() * b.Keys();
  });
  ParallelDynamic(static_cast<int64_t>(blocks.size()),
                  [&](int64_t i) { ForwardBlock(shape, q, blocks[i], out, lse); });
}

void AttentionBackward(const AttentionShape& shape, const Tensor& dout, const Tensor& q,
                       std::span<const AttentionSequence> sequences, const Tensor& lse,
                       const Tensor& dq, const Tensor& dk, const Tensor& dv) {
  const TimedPart timed("attention backward");
  std::vector<BackwardShare> shares;
  int64_t rows = 0;
  for (const AttentionSequence& sequence : sequences) {
    CHECK(sequence.kv_len == sequence.q_len);
    const int64_t stride = SharesOf(sequence.q_len);
    for (int64_t k = 0; k < shape.kv_heads; ++k) {
      for (int64_t first = 0; first < stride; ++first) {
        shares.push_back({&sequence, k, first, stride, {}, {}});
        rows += RoundUpToBlock(sequence.q_len);
      }
    }
  }
  static thread_local Buffer sums;  // dk then dv of every share
  if (sums.tensor().size() < 2 * rows * shape.head_dim) {
    sums = Buffer(DType::kF32, {2 * rows * shape.head_dim});
  }
  int64_t at = 0;
  for (BackwardShare& share : shares) {
    const int64_t n = RoundUpToBlock(share.sequence->q_len);
    share.dk = RowsAt(sums.tensor().data, DType::kF32, at, n, shape.head_dim);
    share.dv =
        RowsAt(sums.tensor().data, DType::kF32, at + rows * shape.head_dim, n, shape.head_dim);
    at += n * shape.head_dim;
  }
  std::vector<size_t> order(shares.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return shares[a].sequence->q_len * shares[b].stride >
           shares[b].sequence->q_len * shares[a].stride;
  });
  const BackwardCall call{shape, dout, q, lse, dq};
  ParallelDynamic(static_cast<int64_t>(order.size()),
                  [&](int64_t i) { RunShare(call, shares[order[i]]); });
  SumShares(shares, dk, dv);
}

int64_t AttentionScratchBytes(const AttentionShape& shape, DType dtype, int64_t T, int64_t longest,
                              int threads) {
  const int64_t length = RoundUpToBlock(std::min(longest, T)),
                sequences = (T + longest - 1) / longest;
  const int64_t tokens =
      std::clamp<int64_t>(kMaxScores / (length * shape.group), 1, kAttentionBlock);
  const int64_t block = BackwardScratch::Bytes(dtype, tokens * shape.group, length, shape.head_dim);
  const int64_t sums = shape.kv_heads * sequences * SharesOf(length) * length * 2 * shape.head_dim;
  return threads * block + DTypeBytes(DType::kF32, sums);
}

}  // namespace lorikeet
