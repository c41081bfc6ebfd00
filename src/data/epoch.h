// The order in which examples are seen: a pure function of the seed and the epoch, so that a
// resumed run goes on where it stood and every machine sees the same order.
#pragma once
#include <cstdint>
#include <vector>

#include "core/json.h"

namespace lorikeet {

// A permutation of 0 ... n-1.
std::vector<int64_t> EpochOrder(int64_t n, uint64_t seed, int64_t epoch);

class BatchCursor {
 public:
  struct Options {
    int64_t num_examples = 0;
    int64_t batch_size = 1;  // examples
    uint64_t seed = 0;
    bool shuffle = true;
    bool drop_last = false;  // leave out an epoch's last batch if it is not full
  };
  // Throws Error if there is no example or a batch would be empty.
  explicit BatchCursor(const Options& options);

  // Indices of the examples of the next batch; after the last batch of an epoch the next one
  // begins.
  std::vector<int64_t> Next();
  int64_t epoch() const { return epoch_; }        // of the next batch
  int64_t position() const { return position_; }  // examples of this epoch already given
  int64_t BatchesPerEpoch() const;

  Json ToJson() const;
  // Goes to where a saved cursor stood. Throws Error if it counted other examples, batches or
  // another seed: the order would not be the one it was in the midst of.
  void Restore(const Json& saved);

 private:
  Options options_;
  int64_t epoch_ = 0, position_ = 0;
  std::vector<int64_t> order_;  // of epoch_; empty until needed
};

}  // namespace lorikeet
