// Number of parameters of a model, from its configuration alone.
#pragma once
#include <cstdint>

#include "model/config.h"

namespace lorikeet {

// A tied head counts once.
int64_t CountParameters(const ModelConfig& config);

}  // namespace lorikeet
