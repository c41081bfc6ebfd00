// Lays whole examples end to end into batches of at most a token budget: no padding, no
// cross-talk (positions restart, boundaries kept).
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "data/example.h"
#include "model/batch.h"

namespace lorikeet {

struct PackedBatch {
  Batch batch;
  std::vector<int32_t> targets;           // (T)
  std::vector<float> weights;             // (T)
  std::vector<float> advantages;          // (T) or empty
  std::vector<float> old_logprobs;        // (T) or empty
  std::vector<float> reference_logprobs;  // (T) or empty
  std::vector<int> example_of_sequence;   // (S) index into the examples given
};

// First-fit decreasing into batches of at most `tokens_per_batch` tokens, deterministic. Throws
// Error for an example that is longer by itself.
std::vector<PackedBatch> Pack(std::span<const Example* const> examples, int64_t tokens_per_batch);

}  // namespace lorikeet
