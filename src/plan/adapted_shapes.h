// The linear layers of a model as shapes, with the ranks of a run's adapter.
#pragma once
#include "model/linear_shapes.h"
#include "plan/memory_plan.h"

namespace lorikeet {

// With the adapters of a run; a target for single layers counts for all. Throws Error for a target
// that matches nothing.
LinearShapes AdaptedShapes(const ModelConfig& config, const TrainingShape& shape);

}  // namespace lorikeet
