// Fingerprints of what a run is made from, and the comparison of the settings that its checkpoints
// record with those it is resumed with (recipes/run_settings.h makes them).
#pragma once
#include <span>
#include <string>
#include <vector>

#include "core/json.h"
#include "data/example.h"
#include "model/weights.h"

namespace lorikeet {

// Short texts that differ where data, models or texts do. A model is told by a sample of every
// matrix.
std::string FingerprintOf(const std::vector<Example>& examples);
std::string FingerprintOf(const Model& model);
std::string FingerprintOf(std::span<const std::string> texts);

// Throws Error(kInvalidArgument) naming the key that differs, both values and what to do.
void RequireSameSettings(const Json& saved, const Json& here, const std::string& checkpoint);

}  // namespace lorikeet
