// The packer puts whole examples end to end into batches of a token budget, without padding and
// without attention between examples (positions restart, boundaries are kept). A prefix shared by
// examples of one group (data/example.h) occurs once in each batch with several of them.
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
  // (S) index of the example; -1 for a prefix of several, whose own rows follow it.
  std::vector<int> example_of_sequence;

  // Distributes values (T) of the rows: to_example[i] gets those of example i, its prefix first.
  void Scatter(std::span<const float> values, std::span<std::vector<float>> to_example) const;
};

// First-fit decreasing into batches of at most `tokens_per_batch` tokens, deterministic. A group
// stays together unless it alone exceeds a batch; then each of its parts has the prefix. Throws
// Error for an example that alone exceeds a batch.
std::vector<PackedBatch> Pack(std::span<const Example* const> examples, int64_t tokens_per_batch);

}  // namespace lorikeet
