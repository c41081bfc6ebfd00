// Lays whole examples end to end into batches of at most a token budget: no padding, no
// cross-talk (positions restart, boundaries kept). A prefix that examples of one group share
// (data/example.h) lies once in each batch that holds several of them.
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
  std::vector<double> advantages;         // (T) or empty
  std::vector<float> old_logprobs;        // (T) or empty
  std::vector<float> reference_logprobs;  // (T) or empty
  // (S) index into the examples given; -1 in the prefix of several, whose own rows follow it.
  std::vector<int> example_of_sequence;

  // Gives out values (T) of the rows: to_example[i] gets those of example i, its prefix's first.
  void Scatter(std::span<const float> values, std::span<std::vector<float>> to_example) const;
};

// First-fit decreasing into batches of at most `tokens_per_batch` tokens, deterministic. A group
// stays together unless it exceeds a batch by itself; then each of its parts has the prefix. Throws
// Error for an example that is longer by itself.
std::vector<PackedBatch> Pack(std::span<const Example* const> examples, int64_t tokens_per_batch);

}  // namespace lorikeet
