// The settings of a run as its checkpoints record them: a resumed run that differs in any of them
// would not be the same run (RequireSameSettings, train/run_settings.h). Keys are named as the
// options are. An option of a block that is not named in run_settings.cc is recorded where it is
// not at its default, so that checkpoints written before it existed stay valid.
#pragma once
#include <string>
#include <vector>

#include "core/json.h"
#include "data/example.h"
#include "recipes/run.h"
#include "train/training_run.h"

namespace lorikeet {

// Settings of a run that learns from examples. Must be called before the first step: it looks at
// the weights.
Json SettingsOf(const TrainingRun& training, const std::vector<Example>& train, const Run& run,
                int64_t total_steps);

// Settings of a run that learns from rewards: objective, samples and steps. Needs an Rl objective.
Json RlSettingsOf(const Run& run);
// The same with the adapter, the problems and the rewards. Fingerprints of model, data and chat
// template and the dtype are the caller's to add.
Json RlCommandSettingsOf(const Run& run);

}  // namespace lorikeet
