// Learning rate over the steps of a run: a pure function of the step, so a resumed run needs no
// state for it.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace lorikeet {

// "LoRA Without Regret" uses a constant rate. The other schedules have other best peak values, and
// are for comparison.
enum class ScheduleKind : uint8_t { kConstant, kLinear, kCosine };

struct Schedule {
  ScheduleKind kind = ScheduleKind::kConstant;
  double peak = 0;           // learning_rate
  int64_t warmup_steps = 0;  // linear from 0; for every kind
  int64_t total_steps = 0;   // steps of the whole run; not used by kConstant
};

// lr_scheduler_type: "constant", "constant_with_warmup", "linear", "cosine". Throws
// Error(kInvalidArgument).
ScheduleKind ParseScheduleKind(const std::string& name);
const std::vector<std::string>& ScheduleNames();

// warmup_steps if > 0, else ceil(warmup_ratio * total_steps), as transformers'
// TrainingArguments.get_warmup_steps.
int64_t WarmupSteps(int64_t warmup_steps, double warmup_ratio, int64_t total_steps);

// The rate of the optimizer step number `step`, the first being 0. With warm-up the first step's
// rate is 0. Formulas: transformers' get_{constant,linear,cosine}_schedule_with_warmup (half a
// cosine).
double LearningRateAt(const Schedule& schedule, int64_t step);

}  // namespace lorikeet
