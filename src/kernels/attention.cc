#include "kernels/attention.h"

#include <algorithm>
#include <vector>

#include "core/check.h"
#include "core/parallel.h"
#include "kernels/attention_blocks.h"
#include "kernels/attention_rows.h"
#include "kernels/matmul/matmul.h"
#include "kernels/trace.h"

namespace lorikeet {
namespace {

// Scratch of one query block in the forward.
struct ForwardScratch {
  Tensor scores, probs, values, inverse_sum, gathered;

  static int64_t Bytes(DType dtype, int64_t rows, int64_t keys, int64_t head_dim, bool gathers) {
    return ScratchAllocator::Taken(rows * keys * 4) +
           ScratchAllocator::Taken(DTypeBytes(dtype, rows * keys)) +
           ScratchAllocator::Taken(rows * head_dim * 4) + ScratchAllocator::Taken(rows * 4) +
           ScratchAllocator::Taken(DTypeBytes(dtype, Gathered(keys, gathers) * head_dim));
  }
  ForwardScratch(DType dtype, int64_t rows, int64_t keys, int64_t head_dim, bool gathers) {
    ScratchAllocator allocator(Bytes(dtype, rows, keys, head_dim, gathers));
    scores = allocator.Take(DType::kF32, rows, keys);
    probs = allocator.Take(dtype, rows, keys);
    values = allocator.Take(DType::kF32, rows, head_dim);
    inverse_sum = allocator.Take(DType::kF32, 1, rows);
    gathered = allocator.Take(dtype, Gathered(keys, gathers), head_dim);
  }

 private:
  static int64_t Gathered(int64_t keys, bool gathers) {
    return gathers ? std::min(kKeyPiece, keys) : 0;
  }
};

void ForwardBlock(const AttentionShape& shape, const Tensor& q, const QueryBlock& block,
                  const Tensor& out, const Tensor& lse) {
  const HeadView head(shape, q, block);
  const RowBlock row_block = RowBlockOf(shape, block);
  const int64_t rows = row_block.rows, keys = block.Keys();
  const ForwardScratch scratch(q.dtype, rows, keys, shape.head_dim, block.Scattered());
  const Tensor queries = head.Queries(q, block.begin, block.end);
  for (int64_t first = 0; first < keys; first += kKeyPiece) {
    const int64_t count = std::min(kKeyPiece, keys - first);
    const Tensor scores = RowsAt(scratch.scores.data, DType::kF32, rows * first, rows, count);
    MatMul(queries, head.DenseKeys(block.first_key + first, count, scratch.gathered), scores,
           MatMulKind::kNT);
    if (shape.softcap > 0) {
      CapScores(scores.as<float>(), scores.size(), shape.scale, shape.softcap, nullptr);
    }
  }
  SoftmaxBlock(row_block, keys, scratch.scores.as<float>(), scratch.probs.data, q.dtype,
               scratch.inverse_sum.as<float>(), head.Lse(lse, block.begin));
  for (int64_t first = 0; first < keys; first += kKeyPiece) {
    const int64_t count = std::min(kKeyPiece, keys - first);
    MatMul(RowsAt(scratch.probs.data, q.dtype, rows * first, rows, count),
           head.DenseValues(block.first_key + first, count, scratch.gathered), scratch.values,
           MatMulKind::kNN, /*accumulate=*/first > 0);
  }
  const Tensor to = RowsAt(out.data, out.dtype, head.TokenMajor(block.begin), 1, 1);
  WriteAttentionRows(row_block, shape.head_dim, scratch.values.as<float>(),
                     scratch.inverse_sum.as<float>(), to.data, out.dtype, head.TokenStride());
}

}  // namespace

int64_t ForwardBlockBytes(DType dtype, int64_t rows, int64_t keys, int64_t head_dim, bool gathers) {
  return ForwardScratch::Bytes(dtype, rows, keys, head_dim, gathers);
}

void AttentionForward(const AttentionShape& shape, const Tensor& q,
                      std::span<const AttentionSequence> sequences, const Tensor& out,
                      const Tensor& lse) {
  const Kernel here(
      [&] {
        return AttentionCall("AttentionForward", "attention forward", shape, sequences, q.dtype,
                             /*products=*/2, BytesOf(q, out, lse));
      },
      [&]() -> Replay {
        for (const AttentionSequence& s : sequences) {
          if (!s.pages.empty()) return {};  // a sequence in a cache
        }
        const std::vector<AttentionSequence> all(sequences.begin(), sequences.end());
        return [=](const Relocate& at) {
          AttentionForward(shape, at(q), at(all, q.dtype, shape.kv_heads, shape.head_dim), at(out),
                           at(lse));
        };
      });
  CHECK(q.rank == 4 && q.shape[0] == shape.kv_heads && q.shape[2] == shape.group &&
        q.shape[3] == shape.head_dim && out.dtype == q.dtype && out.rows() == q.shape[1]);
  if (here.dry()) return;
  std::vector<QueryBlock> blocks;
  for (const AttentionSequence& sequence : sequences) {
    const AttentionSequence* prefix = PrefixOf(sequence, sequences);
    for (int64_t k = 0; k < shape.kv_heads; ++k) {
      AppendBlocks(shape, sequence, prefix, k, &blocks);
    }
  }
  // The longest first, so that the threads end together.
  std::stable_sort(blocks.begin(), blocks.end(), [](const QueryBlock& a, const QueryBlock& b) {
    return a.tokens() * a.Keys() > b.tokens() * b.Keys();
  });
  ParallelDynamic(static_cast<int64_t>(blocks.size()),
                  [&](int64_t i) { ForwardBlock(shape, q, blocks[i], out, lse); });
}

}  // namespace lorikeet
