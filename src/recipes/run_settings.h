// The settings of a run as its checkpoints record them: a resumed run must not differ in any of
// them (RequireSameSettings, train/run_settings.h). Keys are the names of the options. An option of
// a block that is not listed in run_settings.cc is recorded only if it is not at its default, so
// that checkpoints written before it existed stay valid.
#pragma once
#include <string>
#include <vector>

#include "core/json.h"
#include "data/example.h"
#include "recipes/run.h"
#include "train/training_run.h"

namespace lorikeet {

// Settings of a run that learns from examples. Must be called before the first step, since it takes
// a fingerprint of the weights.
Json SettingsOf(const TrainingRun& training, const std::vector<Example>& train, const Run& run,
                int64_t total_steps);

// Settings of a run that learns from rewards: objective, samples and steps. Needs an Rl objective.
Json RlSettingsOf(const Run& run);
// The same with the adapter, the problems and the rewards. The caller adds the dtype and the
// fingerprints of model, data and chat template.
Json RlCommandSettingsOf(const Run& run);

}  // namespace lorikeet
