#include "train/schedule.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/error.h"
#include "core/suggest.h"

namespace lorikeet {

const std::vector<std::string>& ScheduleNames() {
  static const std::vector<std::string> names = {"constant", "constant_with_warmup", "linear",
                                                 "cosine"};
  return names;
}

ScheduleKind ParseScheduleKind(const std::string& name) {
  if (name == "constant" || name == "constant_with_warmup") return ScheduleKind::kConstant;
  if (name == "linear") return ScheduleKind::kLinear;
  if (name == "cosine") return ScheduleKind::kCosine;
  Fail(ErrorCode::kInvalidArgument, "lr_scheduler_type: '{}' is not one of {}{}", name,
       fmt::join(ScheduleNames(), ", "), DidYouMean(name, ScheduleNames()));
}

int64_t WarmupSteps(int64_t warmup_steps, double warmup_ratio, int64_t total_steps) {
  if (warmup_steps > 0) return warmup_steps;
  return static_cast<int64_t>(std::ceil(warmup_ratio * static_cast<double>(total_steps)));
}

double LearningRateAt(const Schedule& schedule, int64_t step) {
  const auto now = static_cast<double>(step);
  const auto warmup = static_cast<double>(schedule.warmup_steps);
  const auto total = static_cast<double>(schedule.total_steps);
  if (now < warmup) return schedule.peak * (now / std::max(1.0, warmup));
  const double after_warmup = std::max(1.0, total - warmup);
  switch (schedule.kind) {
    case ScheduleKind::kConstant:
      return schedule.peak;
    case ScheduleKind::kLinear:
      return schedule.peak * std::max(0.0, (total - now) / after_warmup);
    case ScheduleKind::kCosine: {
      // The original goes up again past the end of the run; here the rate stays at 0.
      const double progress = std::min((now - warmup) / after_warmup, 1.0);
      return schedule.peak * std::max(0.0, 0.5 * (1.0 + std::cos(std::numbers::pi * progress)));
    }
  }
  return schedule.peak;
}

}  // namespace lorikeet
