#include "study/settings.h"

#include <algorithm>
#include <charconv>

#include "core/error.h"

namespace lorikeet {
namespace {

// Parses positive integers; they are sorted and duplicates removed.
std::vector<int64_t> Numbers(const std::vector<std::string>& texts, const char* option) {
  std::vector<int64_t> numbers;
  for (const std::string& text : texts) {
    int64_t number = 0;
    const char* end = text.data() + text.size();
    const auto result = std::from_chars(text.data(), end, number);
    if (result.ec != std::errc() || result.ptr != end || number < 1) {
      Fail(ErrorCode::kInvalidArgument, "{}: '{}' is not a whole number above 0", option, text);
    }
    numbers.push_back(number);
  }
  std::sort(numbers.begin(), numbers.end());
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  return numbers;
}

}  // namespace

std::vector<int> StudySettings::Ranks() const {
  const std::vector<int64_t> numbers = Numbers(ranks, "ranks");
  if (numbers.empty()) Fail(ErrorCode::kInvalidArgument, "ranks: give at least one");
  return {numbers.begin(), numbers.end()};
}

std::vector<int64_t> StudySettings::BatchSizes() const {
  const std::vector<int64_t> numbers = Numbers(batch_sizes, "batch_sizes");
  if (numbers.size() < 2) {
    Fail(ErrorCode::kInvalidArgument, "batch_sizes: give at least two to compare");
  }
  return numbers;
}

std::vector<int64_t> StudySettings::ShortSteps() const {
  std::vector<int64_t> numbers = Numbers(short_steps, "short_steps");
  if (short_steps.empty()) numbers = {std::max<int64_t>(1, steps / 10)};
  std::erase_if(numbers, [this](int64_t n) { return n >= steps; });
  return numbers;
}

std::vector<uint64_t> StudySettings::Seeds() const {
  std::vector<uint64_t> result;
  for (int i = 0; i < seeds; ++i) result.push_back(static_cast<uint64_t>(seed + i));
  return result;
}

int64_t StudySettings::FinalSteps() const {
  constexpr int64_t kShare = 4;
  if (rewards.final_steps > 0) return std::min(rewards.final_steps, steps);
  return std::max<int64_t>(1, steps / kShare);
}

}  // namespace lorikeet
