// A `KvCache` holds the keys and values of attention blocks in pages of 64 positions, with
// reference counts. The pages of a sequence are named by its `SequenceState`; sequences with a
// common prefix name the same pages.
//
// Bit rule: a row of keys and values that was written is never changed while its page is in use, so
// what a sequence reads does not depend on the sequences that share its pages.
#pragma once
#include <cstdint>
#include <vector>

#include "core/arena.h"
#include "kernels/attention.h"
#include "model/config.h"

namespace lorikeet {

inline constexpr int64_t kPagePositions = kAttentionBlock;

// Decoding state of one sequence, for every kind of block that keeps some. Attention blocks keep
// keys and values in pages; the same page numbers hold in every layer.
struct SequenceState {
  // Page of positions [i * kPagePositions, (i + 1) * kPagePositions) in a KvCache.
  std::vector<int32_t> pages;
};

class KvCache {
 public:
  // All pages are free at first. Memory is reserved here and touched as pages are written. Throws
  // Error if it cannot be reserved.
  KvCache(const ModelConfig& config, DType dtype, int64_t pages);

  static size_t Bytes(const ModelConfig& config, DType dtype, int64_t pages);
  // Number of pages that hold `positions`.
  static int64_t PagesFor(int64_t positions) {
    return (positions + kPagePositions - 1) / kPagePositions;
  }

  int64_t pages() const { return static_cast<int64_t>(references_.size()); }
  int64_t free_pages() const { return free_; }
  int32_t references(int32_t page) const { return references_[static_cast<size_t>(page)]; }

  // Takes a free page (there must be one) with one reference and zeroed rows. previous: last page
  // of the sequence, -1 if it has none; the page after it is taken if it is free, since adjacent
  // pages are read fastest.
  int32_t Allocate(int32_t previous);
  // Adds a reference to a page in use.
  void Share(int32_t page);
  // Removes a reference; a page without references is free.
  void Release(int32_t page);
  // Copies the first `rows` rows of every head and layer between two pages in use.
  void CopyRows(int32_t from, int32_t to, int64_t rows);
  // Zeroes the rows from `first_row` on.
  void ZeroRows(int32_t page, int64_t first_row);

  // Keys and values of a layer: (K, P, kPagePositions, Dh) C.
  const Tensor& k(int64_t layer) const { return k_[static_cast<size_t>(layer)].tensor(); }
  const Tensor& v(int64_t layer) const { return v_[static_cast<size_t>(layer)].tensor(); }

 private:
  std::vector<Buffer> k_, v_;
  std::vector<int32_t> references_;  // number of references of each page, 0: free
  std::vector<bool> used_before_;    // pages that may hold rows of an earlier owner
  int64_t free_;
};

}  // namespace lorikeet
