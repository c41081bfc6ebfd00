// The linear layers of a model as shapes alone: what plans and costs are reckoned from.
#pragma once
#include <array>
#include <cstdint>
#include <string>

#include "model/memory_plan.h"

namespace lorikeet {

struct LinearShape {
  std::string name;  // module path; the layers' under that of layer 0
  int64_t in, out;
  int64_t r = 0;  // rank of its adapter, 0: none
};

struct LinearShapes {
  std::array<LinearShape, kLinearsPerLayer> layer;  // by LinearIndex, every layer alike
  LinearShape head;
};

LinearShapes PlainShapes(const ModelConfig& config);

// With the adapters of a run; a target for single layers counts for all. Throws Error for a target
// that matches nothing.
LinearShapes AdaptedShapes(const ModelConfig& config, const TrainingShape& shape);

}  // namespace lorikeet
