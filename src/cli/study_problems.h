// Problems for the runs of a study that learn from rewards, from its options.
#pragma once
#include "cli/study_options.h"
#include "engine/loaded_model.h"
#include "study/execute.h"

namespace lorikeet {

// Exactly one of --task and --data must be given. Throws Error for invalid ones and for a model
// without a chat template. Moves the tokenizer out of `loaded`.
void LoadProblems(const StudyOptions& options, LoadedModel& loaded, StudyModel* model);

}  // namespace lorikeet
