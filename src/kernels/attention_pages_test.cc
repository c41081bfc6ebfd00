// Keys and values in pages against the same in one piece: the forward by memcmp.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <vector>

#include "core/arena.h"
#include "core/random.h"
#include "core/threads_scope_for_test.h"
#include "kernels/attention.h"
#include "kernels/kernel_for_test.h"
#include "kernels/matmul/matmul.h"

namespace lorikeet {
namespace {

enum class PageLayout : uint8_t { kHeadMajor, kPageMajor };  // (K, P, 64, Dh), (P, K, 64, Dh)
enum class PageOrder : uint8_t {
  kAscending,
  kReversed,
  kMixed
};  // order of a sequence's page numbers

// The same numbers again after a prime number of elements, so that no two pages are equal.
void FillRandom(const Buffer& buffer, const char* name) {
  const RandomStream random(3, "attention_pages_test", name);
  std::vector<float> values(4093);
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(4 * random.Uniform(i) - 2);
  }
  for (int64_t i = 0; i < buffer.tensor().size(); ++i) {
    Put(buffer, i, values[static_cast<size_t>(i) % values.size()]);
  }
}

// One sequence of kv_len positions whose last q_len are queries, computed in one piece and in
// pages.
struct Case {
  AttentionShape shape;
  DType dtype;
  int64_t kv_len, q_len;
  Buffer q, k, v;

  Case(const AttentionShape& s, DType type, int64_t keys, int64_t queries)
      : shape(s), dtype(type), kv_len(keys), q_len(queries) {
    q = Buffer(dtype, {s.kv_heads, q_len, s.group, s.head_dim});
    k = Buffer(dtype, {s.kv_heads, Rows(), s.head_dim});
    v = Buffer(dtype, {s.kv_heads, Rows(), s.head_dim});
    FillRandom(q, "q");
    FillRandom(k, "k");
    FillRandom(v, "v");
  }
  int64_t Pages() const { return (kv_len + kAttentionBlock - 1) / kAttentionBlock; }
  int64_t Rows() const { return Pages() * kAttentionBlock; }

  std::vector<std::byte> Forward(const AttentionSequence& sequence) const {
    const Buffer out(dtype, {q_len, shape.kv_heads * shape.group * shape.head_dim});
    const Buffer lse(DType::kF32, {shape.kv_heads, q_len, shape.group});
    AttentionForward(shape, q.tensor(), {&sequence, 1}, out.tensor(), lse.tensor());
    std::vector<std::byte> bytes;
    for (const Tensor& t : {out.tensor(), lse.tensor()}) {
      const auto* data = static_cast<const std::byte*>(t.data);
      bytes.insert(bytes.end(), data, data + t.bytes());
    }
    return bytes;
  }
  std::vector<std::byte> InOnePiece() const {
    return Forward({0, q_len, kv_len, k.tensor().data, v.tensor().data, Rows() * shape.head_dim});
  }
  std::vector<int32_t> PageTable(PageOrder order) const {
    std::vector<int32_t> table(static_cast<size_t>(Pages()));
    std::iota(table.begin(), table.end(), 1);
    if (order == PageOrder::kReversed) std::reverse(table.begin(), table.end());
    if (order == PageOrder::kMixed) {  // pairs of neighbours, and others between them
      for (size_t i = 0; i + 4 < table.size(); i += 5) std::swap(table[i + 2], table[i + 4]);
    }
    return table;
  }
  std::vector<std::byte> InPages(PageLayout layout, PageOrder order) const {
    const std::vector<int32_t> table = PageTable(order);
    const int64_t pages = Pages() + 2, page = kAttentionBlock * shape.head_dim;
    const bool head_major = layout == PageLayout::kHeadMajor;
    const int64_t head_stride = head_major ? pages * page : page;
    const int64_t page_stride = head_major ? page : shape.kv_heads * page;
    const Buffer paged_k(dtype, {pages, shape.kv_heads, page}),
        paged_v(dtype, {pages, shape.kv_heads, page});
    for (int64_t h = 0; h < shape.kv_heads; ++h) {
      for (size_t i = 0; i < table.size(); ++i) {
        const int64_t from = h * Rows() * shape.head_dim + static_cast<int64_t>(i) * page;
        const int64_t to = h * head_stride + table[i] * page_stride;
        std::memcpy(At(paged_k, to), At(k, from), static_cast<size_t>(DTypeBytes(dtype, page)));
        std::memcpy(At(paged_v, to), At(v, from), static_cast<size_t>(DTypeBytes(dtype, page)));
      }
    }
    AttentionSequence sequence{
        0, q_len, kv_len, paged_k.tensor().data, paged_v.tensor().data, head_stride};
    sequence.pages = table;
    sequence.page_stride = page_stride;
    return Forward(sequence);
  }
};

TEST(AttentionPagesTest, HaveTheBitsOfOnePiece) {
  std::vector<DType> dtypes = {DType::kF32};
  if (HasNativeBf16()) dtypes.push_back(DType::kBF16);
  for (const AttentionShape& shape : {AttentionShape{2, 3, 16, 0.25F},
                                      {1, 1, 64, 0.125F},
                                      {1, 2, 40, 0.16F},
                                      {1, 2, 16, 0.25F, /*window=*/65},
                                      {1, 1, 16, 0.25F, /*window=*/512}}) {
    for (const DType dtype : dtypes) {
      for (const int64_t kv_len : {1, 63, 64, 65, 200, 511, 512, 513, 577, 1100}) {
        for (const int64_t q_len : {int64_t{1}, int64_t{70}, kv_len}) {
          if (q_len > kv_len) continue;
          const Case c(shape, dtype, kv_len, q_len);
          const std::vector<std::byte> expected = c.InOnePiece();
          for (const PageLayout layout : {PageLayout::kHeadMajor, PageLayout::kPageMajor}) {
            for (const PageOrder order :
                 {PageOrder::kAscending, PageOrder::kReversed, PageOrder::kMixed}) {
              const ThreadsScope threads(q_len == 1 ? 1 : 2);
              ASSERT_TRUE(c.InPages(layout, order) == expected)
                  << DTypeName(dtype) << " K " << shape.kv_heads << " G " << shape.group << " Dh "
                  << shape.head_dim << " window " << shape.window << " keys " << kv_len
                  << " queries " << q_len << " layout " << static_cast<int>(layout) << " order "
                  << static_cast<int>(order);
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace lorikeet
