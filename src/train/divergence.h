// Tells a run that has lost its way from one that is merely noisy.
#pragma once
#include <cstdint>
#include <string>

#include "core/json.h"

namespace lorikeet {

// Compares every step's loss with the mean of the first kReferenceSteps. Diverged is
//   - kWorseThanGuessing steps in a row above log(V) + 1, what uniform guessing costs and a margin,
//     and above 1.5 times the first losses; or
//   - kMuchWorse steps in a row above 3 times the first losses and 2 nats above them.
// Losses that are not finite are the caller's to refuse at once.
class DivergenceWatch {
 public:
  static constexpr int64_t kReferenceSteps = 8, kWorseThanGuessing = 10, kMuchWorse = 50;

  explicit DivergenceWatch(int64_t vocab_size);

  // Returns what is wrong, "" while nothing is.
  std::string Add(double loss);

  Json ToJson() const;
  void Restore(const Json& saved);  // throws Json::exception

 private:
  double guessing_;  // log(V), nats
  double first_sum_ = 0;
  int64_t first_count_ = 0, above_guessing_ = 0, above_first_ = 0;
};

}  // namespace lorikeet
