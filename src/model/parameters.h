// Number of parameters of a model, from its configuration alone.
#pragma once
#include <cstdint>

#include "model/config.h"

namespace lorikeet {

// A tied head counts once.
int64_t CountParameters(const ModelConfig& config);

// Its parts: norms, biases, matrices (embedding and head included).
int64_t NormParameters(const ModelConfig& config);
int64_t BiasParameters(const ModelConfig& config);
int64_t MatrixParameters(const ModelConfig& config);

}  // namespace lorikeet
