// `lorikeet bench train --profile`: the time of a training step by part, compared with the
// roofline.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/json.h"
#include "core/profile.h"
#include "plan/step_cost.h"

namespace lorikeet {

// The profile of one step: means over the measured steps.
struct StepProfile {
  struct Part {
    PartCost cost;  // as StepCost counts it; `calls` as measured
    double seconds = 0;
    RooflinePoint point;
  };
  Ceilings ceilings;
  std::vector<Part> parts;  // in descending order of time
  double step_seconds = 0;

  double RestSeconds() const;   // time in no part
  double IdealSeconds() const;  // sum over parts, each at its own ceiling
};

// measured: totals over `steps` steps. Parts that are not in `costs` have cost 0.
StepProfile MakeStepProfile(const std::vector<Profile::Part>& measured,
                            const std::vector<PartCost>& costs, int64_t steps, double step_seconds,
                            const Ceilings& ceilings);

std::string StepProfileText(const StepProfile& profile);
OrderedJson StepProfileJson(const StepProfile& profile);

}  // namespace lorikeet
