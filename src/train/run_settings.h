// What decides the numbers of a run, recorded in every checkpoint: a resumed run that differs in
// any of it would not be the same run.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "core/json.h"
#include "data/example.h"
#include "train/sft.h"
#include "train/training_run.h"

namespace lorikeet {

// Keys are named as the options are. Must be called before the first step: it looks at the weights.
Json SettingsOf(const TrainingRun& run, const std::vector<Example>& train, const SftConfig& config,
                int64_t total_steps);

// Short texts that differ where data, models or texts do. A model is told by a sample of every
// matrix.
std::string FingerprintOf(const std::vector<Example>& examples);
std::string FingerprintOf(const Model& model);
std::string FingerprintOf(std::span<const std::string> texts);

// Throws Error(kInvalidArgument) naming the key that differs, both values and what to do.
void RequireSameSettings(const Json& saved, const Json& here, const std::string& checkpoint);

}  // namespace lorikeet
