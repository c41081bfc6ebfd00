// Tells a run that has lost its way from one that is merely noisy.
#pragma once
#include <cstdint>
#include <string>

#include "core/json.h"

namespace lorikeet {

// Looks at every step's loss. Diverged is
//   - kWorseThanGuessing steps in a row above log(V) + 1, what uniform guessing costs and a margin,
//     and 1 nat above the very first loss (a first mean could hold the explosion already); or
//   - kMuchWorse steps in a row above 3 times the mean of the first kReferenceSteps losses, and 2
//     nats above it.
//   - kWithoutGradient steps in a row with no gradient at all though there is a loss: the network
//   is
//     saturated, and nothing will change any more.
// Losses that are not finite are the caller's to refuse at once.
class DivergenceWatch {
 public:
  static constexpr int64_t kReferenceSteps = 8, kWorseThanGuessing = 10, kMuchWorse = 50,
                           kWithoutGradient = 3;

  explicit DivergenceWatch(int64_t vocab_size);

  // Returns what is wrong, "" while nothing is.
  std::string Add(double loss);
  std::string AddGradient(double grad_norm, double loss);
  // The last step may be the beginning of the end: not the time to throw older states away.
  bool Suspicious() const { return above_guessing_ + above_first_ + without_gradient_ > 0; }

  Json ToJson() const;
  void Restore(const Json& saved);  // throws Json::exception

 private:
  double guessing_;   // log(V), nats
  double first_ = 0;  // the first loss
  double first_sum_ = 0;
  int64_t first_count_ = 0, above_guessing_ = 0, above_first_ = 0, without_gradient_ = 0;
};

}  // namespace lorikeet
