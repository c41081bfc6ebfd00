#include "train/divergence.h"

#include <fmt/format.h>

#include <cmath>

namespace lorikeet {

DivergenceWatch::DivergenceWatch(int64_t vocab_size)
    : guessing_(std::log(static_cast<double>(vocab_size))) {}

std::string DivergenceWatch::Add(double loss) {
  if (first_count_ < kReferenceSteps) {
    first_sum_ += loss;
    ++first_count_;
    return "";
  }
  const double first = first_sum_ / static_cast<double>(first_count_);
  above_guessing_ = loss > guessing_ + 1 && loss > 1.5 * first ? above_guessing_ + 1 : 0;
  above_first_ = loss > 3 * first && loss > first + 2 ? above_first_ + 1 : 0;
  if (above_guessing_ < kWorseThanGuessing && above_first_ < kMuchWorse) return "";
  return above_guessing_ >= kWorseThanGuessing
             ? fmt::format("the loss is {:.3f}, worse than guessing ({:.3f}) for {} steps", loss,
                           guessing_, above_guessing_)
             : fmt::format("the loss is {:.3f}, above 3 times its beginning ({:.3f}) for {} steps",
                           loss, first, above_first_);
}

Json DivergenceWatch::ToJson() const {
  return {{"first_sum", first_sum_},
          {"first_count", first_count_},
          {"above_guessing", above_guessing_},
          {"above_first", above_first_}};
}

void DivergenceWatch::Restore(const Json& saved) {
  first_sum_ = saved.at("first_sum").get<double>();
  first_count_ = saved.at("first_count").get<int64_t>();
  above_guessing_ = saved.at("above_guessing").get<int64_t>();
  above_first_ = saved.at("above_first").get<int64_t>();
}

}  // namespace lorikeet
