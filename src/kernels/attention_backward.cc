// The mirror of attention.cc.
#include <algorithm>
#include <vector>

#include "core/arena.h"
#include "core/check.h"
#include "core/parallel.h"
#include "kernels/attention.h"
#include "kernels/attention_blocks.h"
#include "kernels/attention_rows.h"
#include "kernels/cast.h"
#include "kernels/matmul/matmul.h"
#include "kernels/trace.h"

namespace lorikeet {
namespace {

using Members = std::vector<const AttentionSequence*>;  // sequences of one prefix

// One thread's share of the backward for one kv head: every `stride`-th query block of a sequence,
// in order, or every `stride`-th of the sequences that have it as prefix. Shares depend on shapes
// only; what several of them add to the same rows is summed in a fixed order afterwards.
struct BackwardShare {
  const AttentionSequence* sequence;
  const Members* members;  // null: the sequence's own queries
  int64_t kv_head;
  int64_t first, stride;
  Tensor dk, dv;  // (q_len rounded up, Dh) f32, this share's sums for the rows of `sequence`

  bool BeginsHead() const { return first == 0 && members == nullptr; }
  double Work(int64_t window) const {
    const auto pairs = [&](const AttentionSequence& s) {
      return static_cast<double>(AttentionPairs(s.kv_len - s.q_len, s.kv_len, window));
    };
    if (members == nullptr) return pairs(*sequence) / static_cast<double>(stride);
    double work = 0;
    for (size_t i = first; i < members->size(); i += stride) work += pairs(*(*members)[i]);
    return work;
  }
};

struct BackwardCall {
  const AttentionShape& shape;
  const Tensor &dout, &q, &lse, &dq, &dk, &dv;
};

// Keys at positions [first, end) and where their gradients are summed.
struct KeySegment {
  int64_t first, end;
  Tensor k, v, dk, dv;
};

// The segments of a block's keys. A sequence with a prefix adds to its own rows in dk and dv, which
// no other sequence does, and to its share's sums for the prefix; no segment extends over both.
std::vector<KeySegment> SegmentsOf(const BackwardCall& call, const BackwardShare& share,
                                   const QueryBlock& block, const HeadView& head) {
  const int64_t prefix = head.PrefixLength(), Dh = call.shape.head_dim;
  const int64_t own_row = share.kv_head * call.dk.shape[1] + block.sequence->q_begin;
  const int64_t keys_end =
      prefix == 0 ? block.KeysEnd() : std::min(block.KeysEnd(), block.sequence->kv_len);
  std::vector<KeySegment> segments;
  for (int64_t first = block.first_key, end = 0; first < keys_end; first = end) {
    end = std::min(keys_end, first + kKeyPiece);
    if (first < prefix) end = std::min(end, prefix);
    const auto sums = [&](const Tensor& shares, const Tensor& whole) {
      if (first < prefix || prefix == 0) return shares.Rows(first, end);
      return RowsAt(whole.data, DType::kF32, (own_row + first - prefix) * Dh, end - first, Dh);
    };
    segments.push_back({first, end, head.Keys(first, end - first), head.Values(first, end - first),
                        sums(share.dk, call.dk), sums(share.dv, call.dv)});
  }
  return segments;
}

// Scratch of one query block in the backward: pieces of (keys, rows), one after another.
struct BackwardScratch {
  Tensor dout_c, delta, scores, probs, dprobs;
  Tensor slopes;  // of capped scores

  static int64_t Bytes(const AttentionShape& shape, DType dtype, int64_t rows, int64_t keys) {
    return ScratchAllocator::Taken(DTypeBytes(dtype, rows * shape.head_dim)) +
           ScratchAllocator::Taken(rows * 4) +
           (shape.softcap > 0 ? 3 : 2) * ScratchAllocator::Taken(rows * keys * 4) +
           ScratchAllocator::Taken(DTypeBytes(dtype, rows * keys));
  }
  BackwardScratch(const AttentionShape& shape, DType dtype, int64_t rows, int64_t keys) {
    ScratchAllocator allocator(Bytes(shape, dtype, rows, keys));
    dout_c = allocator.Take(dtype, rows, shape.head_dim);
    delta = allocator.Take(DType::kF32, 1, rows);
    scores = allocator.Take(DType::kF32, keys, rows);
    probs = allocator.Take(dtype, keys, rows);
    dprobs = allocator.Take(DType::kF32, keys, rows);
    if (shape.softcap > 0) slopes = allocator.Take(DType::kF32, keys, rows);
  }
};

void BackwardBlock(const BackwardCall& call, const BackwardShare& share, const QueryBlock& block) {
  const AttentionShape& shape = call.shape;
  const HeadView head(shape, call.q, block);
  const DType dtype = call.q.dtype;
  const RowBlock row_block = RowBlockOf(shape, block);
  const int64_t rows = row_block.rows;
  const BackwardScratch scratch(shape, dtype, rows, block.Keys());
  float* delta = scratch.delta.as<float>();
  std::fill(delta, delta + rows, 0.0F);
  ReadAttentionGradient(row_block, shape.head_dim,
                        call.dout.as<float>() + head.TokenMajor(block.begin), head.TokenStride(),
                        scratch.dout_c.data, dtype);
  const Tensor queries = head.Queries(call.q, block.begin, block.end);
  const Tensor dqueries = head.Queries(call.dq, block.begin, block.end);
  const std::vector<KeySegment> segments = SegmentsOf(call, share, block, head);
  const auto part = [&](const Tensor& of_block, const KeySegment& keys) {
    return of_block.Rows(keys.first - block.first_key, keys.end - block.first_key);
  };
  for (const KeySegment& keys : segments) {
    const int64_t count = keys.end - keys.first;
    const Tensor scores = part(scratch.scores, keys);
    const Tensor probs = part(scratch.probs, keys);
    const Tensor dprobs = part(scratch.dprobs, keys);
    MatMul(keys.k, queries, scores, MatMulKind::kNT);
    if (shape.softcap > 0) {
      CapScores(scores.as<float>(), scores.size(), shape.scale, shape.softcap,
                part(scratch.slopes, keys).as<float>());
    }
    TransposedProbs(row_block, keys.first - block.first_key, count, scores.as<float>(),
                    head.Lse(call.lse, block.begin), probs.data, dtype);
    MatMul(probs, scratch.dout_c, keys.dv, MatMulKind::kNN, true);
    MatMul(keys.v, scratch.dout_c, dprobs, MatMulKind::kNT);
    AddDelta(rows, count, scores.as<float>(), dprobs.as<float>(), delta);
  }
  for (const KeySegment& keys : segments) {
    // The rounded probabilities are not read again: their memory takes the scores' gradients.
    const Tensor dscores = part(scratch.probs, keys);
    TransposedScoreGradient(
        row_block, keys.end - keys.first, part(scratch.scores, keys).as<float>(),
        part(scratch.dprobs, keys).as<float>(), delta,
        shape.softcap > 0 ? part(scratch.slopes, keys).as<float>() : nullptr, dscores.data, dtype);
    MatMul(dscores, queries, keys.dk, MatMulKind::kNN, true);
    MatMul(dscores, keys.k, dqueries, MatMulKind::kTN,
           /*accumulate=*/keys.first > block.first_key);
  }
}

void RunMember(const BackwardCall& call, const BackwardShare& share,
               const AttentionSequence& member) {
  const int64_t Dh = call.shape.head_dim;
  const int64_t at = (share.kv_head * call.dk.shape[1] + member.q_begin) * Dh;
  Zero(RowsAt(call.dk.data, DType::kF32, at, member.q_len, Dh));
  Zero(RowsAt(call.dv.data, DType::kF32, at, member.q_len, Dh));
  std::vector<QueryBlock> blocks;
  AppendBlocks(call.shape, member, share.sequence, share.kv_head, &blocks);
  for (const QueryBlock& block : blocks) BackwardBlock(call, share, block);
}

void RunShare(const BackwardCall& call, const BackwardShare& share) {
  Zero(share.dk);
  Zero(share.dv);
  if (share.members != nullptr) {
    for (size_t i = share.first; i < share.members->size(); i += share.stride) {
      RunMember(call, share, *(*share.members)[i]);
    }
    return;
  }
  std::vector<QueryBlock> blocks;
  AppendBlocks(call.shape, *share.sequence, nullptr, share.kv_head, &blocks);
  for (const QueryBlock& block : blocks) {
    if (block.begin / kAttentionBlock % share.stride == share.first) {
      BackwardBlock(call, share, block);
    }
  }
}

// Long sequences are shared by several threads: one share per kSharedBlocks blocks, at most
// kMaxShares.
constexpr int64_t kSharedBlocks = 4, kMaxShares = 4;

int64_t BlocksOf(int64_t q_len) { return (q_len + kAttentionBlock - 1) / kAttentionBlock; }

int64_t SharesOf(int64_t q_len) {
  return std::clamp<int64_t>(BlocksOf(q_len) / kSharedBlocks, 1, kMaxShares);
}

// A sequence behind a prefix is never cut, so that its own rows are summed in place.
int64_t SharesOf(const Members& members) {
  int64_t blocks = 0;
  for (const AttentionSequence* member : members) blocks += BlocksOf(member->q_len);
  return std::clamp<int64_t>(blocks / kSharedBlocks, 1,
                             std::min(kMaxShares, static_cast<int64_t>(members.size())));
}

// The sequences behind each one.
std::vector<Members> MembersOf(std::span<const AttentionSequence> sequences) {
  std::vector<Members> members(sequences.size());
  for (const AttentionSequence& sequence : sequences) {
    if (PrefixOf(sequence, sequences) == nullptr) {
      CHECK(sequence.kv_len == sequence.q_len);
    } else {
      members[static_cast<size_t>(sequence.prefix)].push_back(&sequence);
    }
  }
  return members;
}

// Head by head; the shares of a sequence's own queries before those of its members.
std::vector<BackwardShare> MakeShares(std::span<const AttentionSequence> sequences,
                                      const std::vector<Members>& members, int64_t kv_heads) {
  std::vector<BackwardShare> shares;
  for (size_t s = 0; s < sequences.size(); ++s) {
    if (sequences[s].prefix >= 0) continue;
    for (int64_t k = 0; k < kv_heads; ++k) {
      const auto add = [&](const Members* whose, int64_t stride) {
        for (int64_t first = 0; first < stride; ++first) {
          shares.push_back({&sequences[s], whose, k, first, stride, {}, {}});
        }
      };
      add(nullptr, SharesOf(sequences[s].q_len));
      if (!members[s].empty()) add(&members[s], SharesOf(members[s]));
    }
  }
  return shares;
}

// Only a sequence's own queries read whole blocks of its keys.
int64_t SumRows(const BackwardShare& share) {
  const int64_t n = share.sequence->q_len;
  return share.members == nullptr ? RoundUpToBlock(n) : n;
}

// dk and dv of every share.
void TakeSums(std::vector<BackwardShare>& shares, int64_t head_dim) {
  int64_t rows = 0;
  for (const BackwardShare& share : shares) rows += SumRows(share);
  static thread_local Buffer sums;  // dk then dv of every share
  if (sums.tensor().size() < 2 * rows * head_dim) {
    sums = Buffer(DType::kF32, {2 * rows * head_dim});
  }
  int64_t at = 0;
  for (BackwardShare& share : shares) {
    const int64_t n = SumRows(share);
    share.dk = RowsAt(sums.tensor().data, DType::kF32, at * head_dim, n, head_dim);
    share.dv = RowsAt(sums.tensor().data, DType::kF32, (rows + at) * head_dim, n, head_dim);
    at += n;
  }
}

// (K, T, Dh) = the shares' sums, in order of the shares.
void SumShares(const std::vector<BackwardShare>& shares, const Tensor& dk, const Tensor& dv) {
  const int64_t T = dk.shape[1], Dh = dk.shape[2];
  const auto add = [&](const BackwardShare& share, const Tensor& from, const Tensor& to) {
    const int64_t at = (share.kv_head * T + share.sequence->q_begin) * Dh;
    const int64_t count = share.sequence->q_len * Dh;
    const float* source = from.as<float>();
    float* sum = to.as<float>() + at;
    if (share.BeginsHead()) {
      std::copy(source, source + count, sum);
    } else {
      for (int64_t i = 0; i < count; ++i) sum[i] += source[i];
    }
  };
  std::vector<size_t> heads;  // first index of each (sequence, kv head)
  for (size_t i = 0; i < shares.size(); ++i) {
    if (shares[i].BeginsHead()) heads.push_back(i);
  }
  heads.push_back(shares.size());
  ParallelDynamic(static_cast<int64_t>(heads.size()) - 1, [&](int64_t h) {
    for (size_t i = heads[h]; i < heads[h + 1]; ++i) {
      add(shares[i], shares[i].dk, dk);
      add(shares[i], shares[i].dv, dv);
    }
  });
}

}  // namespace

void AttentionBackward(const AttentionShape& shape, const Tensor& dout, const Tensor& q,
                       std::span<const AttentionSequence> sequences, const Tensor& lse,
                       const Tensor& dq, const Tensor& dk, const Tensor& dv) {
  // The scores that are computed again do not count as products.
  const Kernel here(
      [&] {
        return AttentionCall("AttentionBackward", "attention backward", shape, sequences, q.dtype,
                             /*products=*/4, BytesOf(q, dout, lse, dq, dk, dv));
      },
      [&]() -> Replay {
        const std::vector<AttentionSequence> all(sequences.begin(), sequences.end());
        return [=](const Relocate& at) {
          AttentionBackward(shape, at(dout), at(q),
                            at(all, q.dtype, shape.kv_heads, shape.head_dim), at(lse), at(dq),
                            at(dk), at(dv));
        };
      });
  if (here.dry()) return;
  const std::vector<Members> members = MembersOf(sequences);
  std::vector<BackwardShare> shares = MakeShares(sequences, members, shape.kv_heads);
  TakeSums(shares, shape.head_dim);
  std::vector<size_t> order(shares.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return shares[a].Work(shape.window) > shares[b].Work(shape.window);
  });
  const BackwardCall call{shape, dout, q, lse, dq, dk, dv};
  ParallelDynamic(static_cast<int64_t>(order.size()),
                  [&](int64_t i) { RunShare(call, shares[order[i]]); });
  SumShares(shares, dk, dv);
}

int64_t AttentionScratchBytes(const AttentionShape& shape, DType dtype, int64_t T, int64_t longest,
                              int threads, bool shared_prefixes) {
  const int64_t length = RoundUpToBlock(std::min(longest, T)),
                sequences = (T + longest - 1) / longest;
  const int64_t keys = MaxBlockKeys(length, shape.window);
  const int64_t tokens = std::clamp<int64_t>(kMaxScores / (keys * shape.group), 1, kAttentionBlock);
  const int64_t rows = tokens * shape.group;
  const int64_t block =
      std::max(BackwardScratch::Bytes(shape, dtype, rows, keys),
               ForwardBlockBytes(dtype, rows, keys, shape.head_dim, shared_prefixes));
  // The prefixes, each with at most kMaxShares of what follows it, are no more than T rows.
  const int64_t sum_rows =
      sequences * SharesOf(length) * length + (shared_prefixes ? kMaxShares * T : 0);
  return threads * block + DTypeBytes(DType::kF32, shape.kv_heads * sum_rows * 2 * shape.head_dim);
}

}  // namespace lorikeet
