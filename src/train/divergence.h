// A `DivergenceWatch` detects that a run has diverged, from its losses and gradients.
#pragma once
#include <cstdint>
#include <string>

#include "core/json.h"

namespace lorikeet {

// A run has diverged after one of
//   - kWorseThanGuessing steps in a row with a loss more than 1 nat above log(V), the loss of
//     uniform guessing, and more than 1 nat above the very first loss (a mean of the first losses
//     could already include the explosion);
//   - kMuchWorse steps in a row with a loss above 3 times the mean of the first kReferenceSteps
//     losses, and more than 2 nats above it;
//   - kWithoutGradient steps in a row with a loss but no gradient: the network is saturated, and
//     its weights cannot change any more.
// The caller must reject losses that are not finite.
class DivergenceWatch {
 public:
  static constexpr int64_t kReferenceSteps = 8, kWorseThanGuessing = 10, kMuchWorse = 50,
                           kWithoutGradient = 3;

  explicit DivergenceWatch(int64_t vocab_size);

  // Return what is wrong; "" if nothing is.
  std::string Add(double loss);
  std::string AddGradient(double grad_norm, double loss);
  // True if a divergence may have begun: older checkpoints should be kept.
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
