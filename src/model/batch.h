// What a forward pass eats: T tokens of S sequences laid end to end, no padding.
#pragma once
#include <cstdint>
#include <vector>

namespace lorikeet {

struct Batch {
  std::vector<int32_t> tokens;     // (T)
  std::vector<int32_t> positions;  // (T), restart at 0 in each sequence (decoding: where it stands)
  std::vector<int32_t> cu_seqlens;  // (S+1), cu_seqlens[s] is the first row of sequence s

  int64_t num_tokens() const { return static_cast<int64_t>(tokens.size()); }
  int64_t num_sequences() const { return static_cast<int64_t>(cu_seqlens.size()) - 1; }
};

}  // namespace lorikeet
