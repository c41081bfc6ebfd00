#include "train/divergence.h"

#include <fmt/format.h>

#include <cmath>

namespace lorikeet {

DivergenceWatch::DivergenceWatch(int64_t vocab_size)
    : guessing_(std::log(static_cast<double>(vocab_size))) {}

std::string DivergenceWatch::Add(double loss) {
  if (first_count_ == 0) first_ = loss;
  if (first_count_ < kReferenceSteps) {
    first_sum_ += loss;
    ++first_count_;
  }
  const double mean = first_sum_ / static_cast<double>(first_count_);
  above_guessing_ = loss > guessing_ + 1 && loss > first_ + 1 ? above_guessing_ + 1 : 0;
  above_first_ = loss > 3 * mean && loss > mean + 2 ? above_first_ + 1 : 0;
  if (above_guessing_ >= kWorseThanGuessing) {
    return fmt::format("the loss is {:.3f} and for {} steps was worse than guessing ({:.3f})", loss,
                       above_guessing_, guessing_);
  }
  if (above_first_ >= kMuchWorse) {
    return fmt::format(
        "the loss is {:.3f} and for {} steps was above 3 times its beginning "
        "({:.3f})",
        loss, above_first_, mean);
  }
  return "";
}

std::string DivergenceWatch::AddGradient(double grad_norm, double loss) {
  without_gradient_ = grad_norm == 0 && loss != 0 ? without_gradient_ + 1 : 0;
  if (without_gradient_ < kWithoutGradient) return "";
  return fmt::format("the loss is {:.3f} and for {} steps no parameter had a gradient", loss,
                     without_gradient_);
}

Json DivergenceWatch::ToJson() const {
  return {{"first", first_},
          {"first_sum", first_sum_},
          {"first_count", first_count_},
          {"above_guessing", above_guessing_},
          {"above_first", above_first_},
          {"without_gradient", without_gradient_}};
}

void DivergenceWatch::Restore(const Json& saved) {
  first_ = saved.at("first").get<double>();
  first_sum_ = saved.at("first_sum").get<double>();
  first_count_ = saved.at("first_count").get<int64_t>();
  above_guessing_ = saved.at("above_guessing").get<int64_t>();
  above_first_ = saved.at("above_first").get<int64_t>();
  without_gradient_ = saved.at("without_gradient").get<int64_t>();
}

}  // namespace lorikeet
