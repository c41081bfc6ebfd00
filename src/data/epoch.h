// The order of examples: a pure function of the seed and the epoch, so that a resumed run continues
// at the same place and every machine uses the same order.
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
    bool drop_last = false;  // whether to drop an epoch's last batch if it is not full
  };
  // Throws Error if there is no example or a batch would be empty.
  explicit BatchCursor(const Options& options);

  // Indices of the examples of the next batch; after the last batch of an epoch the next epoch
  // begins.
  std::vector<int64_t> Next();
  int64_t epoch() const { return epoch_; }        // epoch of the next batch
  int64_t position() const { return position_; }  // number of examples of this epoch already used
  int64_t BatchesPerEpoch() const;

  Json ToJson() const;
  // Restores the position of a saved cursor. Throws Error if it had another number of examples,
  // batch size or seed: the order would be different.
  void Restore(const Json& saved);

 private:
  Options options_;
  int64_t epoch_ = 0, position_ = 0;
  std::vector<int64_t> order_;  // order of epoch_; empty until needed
};

}  // namespace lorikeet
