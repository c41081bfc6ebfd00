#include "verify/rewards/mix.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <future>
#include <limits>
#include <numeric>
#include <set>
#include <utility>

#include "core/check.h"
#include "core/error.h"
#include "core/text.h"
#include "verify/answer.h"

namespace lorikeet {
namespace {

RewardWeight ParseRewardWeight(std::string_view text) {
  const size_t equals = text.find('=');
  RewardWeight part{.name = std::string(Trimmed(text.substr(0, equals)))};
  if (equals == std::string_view::npos) return part;
  std::string_view number = Trimmed(text.substr(equals + 1));
  if (number.starts_with('+') && !number.starts_with("+-")) number.remove_prefix(1);
  const char* end = number.data() + number.size();
  const auto [stop, error] = std::from_chars(number.data(), end, part.weight);
  if (number.empty() || error != std::errc() || stop != end || !std::isfinite(part.weight)) {
    Fail(ErrorCode::kInvalidArgument, "rewards: {} has no number for a weight; write {}=0.5",
         Quoted(text), part.name.empty() ? "NAME" : part.name);
  }
  return part;
}

// The grades of one completion, by part.
using PartGrades = std::vector<const Grade*>;

std::string ReasonOf(const std::vector<WeightedReward>& parts, const PartGrades& grades) {
  std::string text;
  for (size_t p = 0; p < parts.size(); ++p) {
    const Grade& grade = *grades[p];
    text += fmt::format("{}{}", p == 0 ? "" : "; ", parts[p].part.name);
    if (grade.verdict != Verdict::kInvalid) text += fmt::format(" {:g}", grade.reward);
    if (!grade.reason.empty()) text += fmt::format(" ({})", grade.reason);
  }
  return text;
}

// The verdict of the grader if there is one, else of the first part that has one.
Verdict VerdictOf(const std::vector<WeightedReward>& parts, const PartGrades& grades) {
  Verdict verdict = Verdict::kInvalid;
  for (size_t p = 0; p < parts.size(); ++p) {
    if (grades[p]->verdict == Verdict::kInvalid) continue;
    if (parts[p].part.name == kGraderPart) return grades[p]->verdict;
    if (verdict == Verdict::kInvalid) verdict = grades[p]->verdict;
  }
  return verdict;
}

Grade SumOf(const std::vector<WeightedReward>& parts, const PartGrades& grades) {
  Grade sum{.verdict = VerdictOf(parts, grades), .reason = ReasonOf(parts, grades)};
  for (size_t p = 0; p < parts.size(); ++p) {
    const auto& [name, weight] = parts[p].part;
    const Grade& grade = *grades[p];
    const bool came = grade.verdict != Verdict::kInvalid && std::isfinite(grade.reward);
    sum.parts.push_back({name, came ? grade.reward : std::numeric_limits<double>::quiet_NaN()});
    if (came) {
      sum.reward += weight * grade.reward;
    } else if (weight != 0) {
      sum.verdict = Verdict::kInvalid;
      if (!grade.refusal.empty()) sum.refusal = fmt::format("{}: {}", name, grade.refusal);
    }
  }
  if (!std::isfinite(sum.reward)) sum.verdict = Verdict::kInvalid;
  if (sum.verdict == Verdict::kInvalid) sum.reward = 0;
  return sum;
}

// Grades of all requests, by part.
std::vector<std::vector<Grade>> AskAll(const std::vector<WeightedReward>& parts,
                                       std::span<const RewardRequest> requests) {
  // Deferred if no thread can be created.
  constexpr auto kPolicy = std::launch::async | std::launch::deferred;
  std::vector<std::vector<Grade>> graded(parts.size());
  std::vector<std::future<std::vector<Grade>>> waiting(parts.size());
  for (size_t p = 0; p < parts.size(); ++p) {
    if (!parts[p].outside) continue;
    waiting[p] = std::async(kPolicy, [&, p] { return parts[p].reward(requests); });
  }
  for (size_t p = 0; p < parts.size(); ++p) {
    if (!parts[p].outside) graded[p] = parts[p].reward(requests);
  }
  for (size_t p = 0; p < parts.size(); ++p) {
    if (parts[p].outside) graded[p] = waiting[p].get();
    CHECK(graded[p].size() == requests.size());
  }
  return graded;
}

}  // namespace

std::vector<RewardWeight> ParseRewardWeights(std::span<const std::string> texts) {
  std::vector<RewardWeight> parts;
  std::set<std::string> names;
  for (const std::string& text : texts) {
    parts.push_back(ParseRewardWeight(text));
    if (!names.insert(parts.back().name).second) {
      Fail(ErrorCode::kInvalidArgument, "rewards: {} is named twice; keep one",
           Quoted(parts.back().name));
    }
  }
  const auto is_zero = [](const RewardWeight& part) { return part.weight == 0; };
  if (!parts.empty() && std::all_of(parts.begin(), parts.end(), is_zero)) {
    Fail(ErrorCode::kInvalidArgument,
         "rewards: every weight is 0, which teaches nothing; give one another weight");
  }
  return parts;
}

RewardFunction MixRewards(std::vector<WeightedReward> parts) {
  return [parts = std::move(parts)](std::span<const RewardRequest> requests) {
    const std::vector<std::vector<Grade>> graded = AskAll(parts, requests);
    std::vector<Grade> sums;
    for (size_t i = 0; i < requests.size(); ++i) {
      PartGrades grades;
      for (const std::vector<Grade>& of_part : graded) grades.push_back(&of_part[i]);
      sums.push_back(SumOf(parts, grades));
    }
    return sums;
  };
}

void RewardPartSums::Add(const Grade& grade) {
  for (const RewardPart& part : grade.parts) {
    std::vector<double>& rewards = rewards_[part.name];
    if (!std::isnan(part.reward)) rewards.push_back(part.reward);
  }
}

Metrics RewardPartSums::Figures() const {
  Metrics metrics;
  for (const auto& [name, rewards] : rewards_) {
    const auto n = static_cast<double>(rewards.size());
    if (rewards.empty()) continue;
    const double mean = std::accumulate(rewards.begin(), rewards.end(), 0.0) / n;
    double squares = 0;
    for (const double reward : rewards) squares += (reward - mean) * (reward - mean);
    metrics.emplace_back(fmt::format("rewards/{}/mean", name), mean);
    metrics.emplace_back(fmt::format("rewards/{}/std", name),
                         n > 1 ? std::sqrt(squares / (n - 1)) : 0);
  }
  return metrics;
}

}  // namespace lorikeet
