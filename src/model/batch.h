// What a forward pass eats: T tokens of S sequences laid end to end, no padding.
//
// Several sequences may go on from the same prefix, a sequence of its own that is computed once:
// their positions begin at its length, and their rows are those of prefix and sequence as one.
#pragma once
#include <cstdint>
#include <vector>

namespace lorikeet {

struct Batch {
  std::vector<int32_t> tokens;     // (T)
  std::vector<int32_t> positions;  // (T), restart at 0 in each sequence (decoding: where it stands)
  std::vector<int32_t> cu_seqlens;  // (S+1), cu_seqlens[s] is the first row of sequence s
  // (S) an earlier sequence, which has none itself, or -1; empty: no sequence has one.
  std::vector<int32_t> prefix_sequence;

  int64_t num_tokens() const { return static_cast<int64_t>(tokens.size()); }
  int64_t num_sequences() const { return static_cast<int64_t>(cu_seqlens.size()) - 1; }
  // The sequence that s goes on from, -1: none.
  int64_t PrefixOf(int64_t s) const {
    return prefix_sequence.empty() ? -1 : prefix_sequence[static_cast<size_t>(s)];
  }
};

}  // namespace lorikeet
