// The configuration of a model on disk: config.json, and what only the weights beside it say.
#pragma once
#include "checkpoint/model_source.h"
#include "model/config.h"

namespace lorikeet {

// As the overload of config.json; further, a head that is stored and is not the embedding is the
// model's own, whatever tie_word_embeddings says, with a note. Reads both tensors then. Throws
// Error.
ModelConfig ReadModelConfig(const ModelSource& source);

}  // namespace lorikeet
