#include "kernels/attention_blocks.h"

#include <algorithm>
#include <cstring>

#include "core/arena.h"
#include "core/check.h"

namespace lorikeet {
namespace {

// Memory of one thread, reused from call to call.
std::byte* ThreadScratch(int64_t bytes) {
  static thread_local Buffer buffer;
  if (buffer.tensor().size() < bytes) buffer = Buffer(DType::kU8, {bytes});
  return static_cast<std::byte*>(buffer.tensor().data);
}

}  // namespace

void AppendBlocks(const AttentionShape& shape, const AttentionSequence& sequence,
                  const AttentionSequence* prefix, int64_t kv_head,
                  std::vector<QueryBlock>* blocks) {
  const int64_t offset = sequence.kv_len - sequence.q_len;
  for (int64_t begin = 0; begin < sequence.q_len;) {
    const int64_t keys_end = RoundUpToBlock(offset + begin + 1);
    const int64_t first_key = FirstKey(keys_end - kAttentionBlock, shape.window);
    const int64_t scores = (keys_end - first_key) * shape.group;  // scores per token
    const int64_t fits = std::max<int64_t>(1, kMaxScores / scores);
    const int64_t end = std::min({sequence.q_len, keys_end - offset, begin + fits});
    blocks->push_back({&sequence, prefix, kv_head, begin, end, first_key});
    begin = end;
  }
}

RowBlock RowBlockOf(const AttentionShape& shape, const QueryBlock& block) {
  return {.rows = block.tokens() * shape.group,
          .group = shape.group,
          .visible = block.FirstPosition() + 1 - block.first_key,
          .window = shape.window,
          .scale = shape.softcap > 0 ? 1.0F : shape.scale};  // a cap applies it
}

int64_t AttentionPairs(int64_t begin, int64_t end, int64_t window) {
  const auto before = [&](int64_t n) {  // pairs of positions [0, n)
    const int64_t whole = window == 0 ? n : std::min(n, window);
    return whole * (whole + 1) / 2 + (n - whole) * window;
  };
  return before(end) - before(begin);
}

KernelCall AttentionCall(const char* kernel, const char* part, const AttentionShape& shape,
                         std::span<const AttentionSequence> sequences, DType dtype, int products,
                         int64_t bytes) {
  int64_t tokens = 0, longest = 0, pairs = 0, keys = 0;
  for (const AttentionSequence& s : sequences) {
    tokens += s.q_len;
    longest = std::max(longest, s.q_len);
    pairs += AttentionPairs(s.kv_len - s.q_len, s.kv_len, shape.window);
    const int64_t seen = shape.window == 0 ? s.kv_len : s.q_len + shape.window - 1;
    keys += s.prefix < 0 ? std::min(s.kv_len, seen) : s.q_len;
  }
  const int64_t K = shape.kv_heads, H = K * shape.group, Dh = shape.head_dim;
  const char* format = shape.window == 0 ? "{} in {}s, {}/{} heads of {}"
                                         : "{} in {}s, {}/{} heads of {}, window {}";
  return {kernel,
          part,
          {format, {tokens, longest, H, K, Dh, shape.window}},
          pairs * H * Dh * 2 * products,
          bytes + 2 * DTypeBytes(dtype, keys * K * Dh)};
}

ScratchAllocator::ScratchAllocator(int64_t bytes) : next_(ThreadScratch(bytes)) {}

Tensor RowsAt(const void* data, DType dtype, int64_t first_element, int64_t rows, int64_t cols) {
  return Tensor(static_cast<std::byte*>(const_cast<void*>(data)) + DTypeBytes(dtype, first_element),
                dtype, {rows, cols});
}

const AttentionSequence* PrefixOf(const AttentionSequence& sequence,
                                  std::span<const AttentionSequence> sequences) {
  if (sequence.prefix < 0) return nullptr;
  const AttentionSequence& prefix = sequences[static_cast<size_t>(sequence.prefix)];
  CHECK(prefix.prefix < 0 && prefix.q_len == prefix.kv_len &&
        sequence.kv_len == prefix.kv_len + sequence.q_len);
  return &prefix;
}

Tensor HeadView::Of(Which which, int64_t first, int64_t count) const {
  const bool own = first >= PrefixLength();
  const AttentionSequence& from = own ? sequence : *prefix;
  const int64_t row = own ? first - PrefixLength() : first;
  return RowsAt(from.*which, q.dtype, kv_head * from.head_stride + row * shape.head_dim, count,
                shape.head_dim);
}

Tensor HeadView::DensePages(Which which, int64_t first, int64_t count,
                            const Tensor& gathered) const {
  const auto pages = sequence.pages.subspan(static_cast<size_t>(first / kAttentionBlock),
                                            static_cast<size_t>(count / kAttentionBlock));
  const bool adjacent = sequence.page_stride == kAttentionBlock * shape.head_dim;
  for (size_t begin = 0, end = 0; begin < pages.size(); begin = end) {
    for (end = begin + 1; end < pages.size(); ++end) {
      if (!adjacent || pages[end] != pages[end - 1] + 1) break;
    }
    const auto row = static_cast<int64_t>(begin) * kAttentionBlock;
    const auto rows = static_cast<int64_t>(end - begin) * kAttentionBlock;
    const Tensor run = RowsAt(sequence.*which, q.dtype,
                              kv_head * sequence.head_stride + pages[begin] * sequence.page_stride,
                              rows, shape.head_dim);
    if (rows == count) return run;
    std::memcpy(gathered.Rows(row, row + rows).data, run.data, static_cast<size_t>(run.bytes()));
  }
  return gathered.Rows(0, count);
}

Tensor HeadView::Dense(Which which, int64_t first, int64_t count, const Tensor& gathered) const {
  if (!sequence.pages.empty()) return DensePages(which, first, count, gathered);
  const int64_t before = PrefixLength() - first;
  if (before <= 0 || before >= count) return Of(which, first, count);
  const Tensor to = gathered.Rows(0, count);
  const auto copy = [&](int64_t begin, int64_t end) {
    const Tensor from = Of(which, first + begin, end - begin);
    std::memcpy(to.Rows(begin, end).data, from.data, static_cast<size_t>(from.bytes()));
  };
  copy(0, before);
  copy(before, count);
  return to;
}

}  // namespace lorikeet
