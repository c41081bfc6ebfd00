// A `Batch` is the input of a forward pass: T tokens of S sequences laid end to end, no padding.
//
// Several sequences may continue the same prefix, a sequence of its own that is computed once.
// Their positions begin at its length, and their rows are those of one sequence of prefix and
// continuation.
#pragma once
#include <cstdint>
#include <vector>

namespace lorikeet {

struct Batch {
  std::vector<int32_t> tokens;     // (T)
  std::vector<int32_t> positions;  // (T), from 0 in each sequence; decoding: from its length so far
  std::vector<int32_t> cu_seqlens;  // (S+1), cu_seqlens[s] is the first row of sequence s
  // (S) index of the prefix, an earlier sequence without a prefix, or -1; empty: no prefixes.
  std::vector<int32_t> prefix_sequence;

  int64_t num_tokens() const { return static_cast<int64_t>(tokens.size()); }
  int64_t num_sequences() const { return static_cast<int64_t>(cu_seqlens.size()) - 1; }
  // The prefix of sequence s; -1: none.
  int64_t PrefixOf(int64_t s) const {
    return prefix_sequence.empty() ? -1 : prefix_sequence[static_cast<size_t>(s)];
  }
};

}  // namespace lorikeet
