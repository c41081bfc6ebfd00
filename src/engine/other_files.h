// Files of a model folder besides weights, config.json and tokenizer: README, licences,
// preprocessor settings. A folder that is written in place of the model gets copies of them.
#pragma once
#include <string>

#include "checkpoint/model_source.h"

namespace lorikeet {

// Copies the source's other files into an existing folder, byte for byte; files that `dir` has
// already stay. Not copied: weights of any format and their indices, what a run leaves in its
// output folder, hidden files, and files in sub-folders. Nothing for GGUF. Throws Error(kIo).
void CopyOtherFiles(const ModelSource& source, const std::string& dir);

}  // namespace lorikeet
