// Fingerprints of a run's inputs, and the comparison of the settings in a checkpoint with those of
// the resumed run (made by recipes/run_settings.h).
#pragma once
#include <span>
#include <string>
#include <vector>

#include "core/json.h"
#include "data/example.h"
#include "model/weights.h"

namespace lorikeet {

// Fingerprints: short texts that differ if the data, the models or the texts do. A model's covers
// every byte of its weights, after that of a sample and a hyphen.
std::string FingerprintOf(const std::vector<Example>& examples);
std::string FingerprintOf(const Model& model);
// Covers a sample of every matrix: all that older versions had. For comparison with theirs.
std::string SampledFingerprintOf(const Model& model);
std::string FingerprintOf(std::span<const std::string> texts);

// Throws Error(kInvalidArgument) naming the key that differs, both values and what to do. A model's
// fingerprint without a hyphen, of an older version, is compared with the sample's.
void RequireSameSettings(const Json& saved, const Json& here, const std::string& checkpoint);

}  // namespace lorikeet
