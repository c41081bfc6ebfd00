// Where the time of a training step goes, part by part under the roofline: `lorikeet bench train
// --profile`.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/json.h"
#include "core/profile.h"
#include "plan/step_cost.h"

namespace lorikeet {

// Of one step, the mean of those that were measured.
struct StepProfile {
  struct Part {
    PartCost cost;  // what StepCost counts; `calls` as they were made
    double seconds = 0;
    RooflinePoint point;
  };
  Ceilings ceilings;
  std::vector<Part> parts;  // most time first
  double step_seconds = 0;

  double RestSeconds() const;   // that no part times
  double IdealSeconds() const;  // of all parts, each at the ceiling that binds it
};

// measured: over `steps` steps. Parts that `costs` does not know cost nothing.
StepProfile MakeStepProfile(const std::vector<Profile::Part>& measured,
                            const std::vector<PartCost>& costs, int64_t steps, double step_seconds,
                            const Ceilings& ceilings);

std::string StepProfileText(const StepProfile& profile);
OrderedJson StepProfileJson(const StepProfile& profile);

}  // namespace lorikeet
