// Rewards that are computed here.
#include "core/parallel.h"
#include "core/text.h"
#include "verify/answer.h"
#include "verify/grader.h"
#include "verify/rewards/function.h"

namespace lorikeet {
namespace {

constexpr std::string_view kOpen = "<think>", kClose = "</think>";

Grade GradeThinkFormat(const RewardRequest& request) {
  std::string_view rest = request.completion;
  const bool opened = Trimmed(request.prompt).ends_with(kOpen);
  if (!opened) {
    if (!rest.starts_with(kOpen)) return Grade::Wrong("does not begin with <think>");
    rest.remove_prefix(kOpen.size());
  }
  if (rest.find(kOpen) != std::string_view::npos) return Grade::Wrong("a second <think>");
  if (rest.find(kClose) == std::string_view::npos) return Grade::Wrong("no </think>");
  return Grade::Correct();
}

}  // namespace

RewardFunction GraderReward() {
  return [](std::span<const RewardRequest> requests) {
    std::vector<Grade> grades(requests.size());
    ParallelDynamic(std::ssize(requests), [&](int64_t at) {
      const auto i = static_cast<size_t>(at);
      grades[i] = GradeCompletion(*requests[i].problem, requests[i].completion);
    });
    return grades;
  };
}

RewardFunction ThinkFormatReward() {
  return [](std::span<const RewardRequest> requests) {
    std::vector<Grade> grades;
    for (const RewardRequest& request : requests) grades.push_back(GradeThinkFormat(request));
    return grades;
  };
}

}  // namespace lorikeet
