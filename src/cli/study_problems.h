// What the runs of a study that learn from rewards ask, from its options.
#pragma once
#include "cli/study_options.h"
#include "engine/loaded_model.h"
#include "study/execute.h"

namespace lorikeet {

// Exactly one of --task and --data must be given. Throws Error for what is wrong with them and for
// a model without a chat template. Takes the tokenizer from `loaded`.
void LoadProblems(const StudyOptions& options, LoadedModel& loaded, StudyModel* model);

}  // namespace lorikeet
