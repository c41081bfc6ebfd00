#include "rl/advantages.h"

#include <algorithm>
#include <cmath>

namespace lorikeet {
namespace {

bool IsValid(const Grade& grade) { return grade.verdict != Verdict::kInvalid; }

// Fills in all but the advantages.
void Describe(std::span<const Grade> group, GroupAdvantages* result) {
  double sum = 0, squares = 0, min = 0, max = 0;
  for (const Grade& grade : group) {
    if (!IsValid(grade)) continue;
    if (result->valid == 0) min = max = grade.reward;
    min = std::min(min, grade.reward);
    max = std::max(max, grade.reward);
    sum += grade.reward;
    ++result->valid;
  }
  if (result->valid == 0) return;
  result->mean = sum / static_cast<double>(result->valid);
  for (const Grade& grade : group) {
    if (IsValid(grade)) squares += (grade.reward - result->mean) * (grade.reward - result->mean);
  }
  if (result->valid > 1) result->std = std::sqrt(squares / static_cast<double>(result->valid - 1));
  result->has_signal = result->valid > 1 && max > min;
}

}  // namespace

GroupAdvantages AdvantagesOf(std::span<const Grade> group, AdvantageKind kind) {
  GroupAdvantages result;
  result.advantages.assign(group.size(), 0.0);
  Describe(group, &result);
  if (!result.has_signal) return result;
  constexpr double kEpsilon = 1e-4;
  const auto n = static_cast<double>(result.valid);
  for (size_t i = 0; i < group.size(); ++i) {
    if (!IsValid(group[i])) continue;
    const double centred = group[i].reward - result.mean;
    switch (kind) {
      case AdvantageKind::kCentred:
        result.advantages[i] = centred;
        break;
      case AdvantageKind::kStandardised:
        result.advantages[i] = centred / (result.std + kEpsilon);
        break;
      case AdvantageKind::kLeaveOneOut:
        result.advantages[i] = centred * n / (n - 1);  // equal to R_i - mean of the others
        break;
    }
  }
  return result;
}

}  // namespace lorikeet
