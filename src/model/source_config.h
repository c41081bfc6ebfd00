// The configuration of a model on disk: config.json, and what only the weights beside it say.
#pragma once
#include "checkpoint/model_source.h"
#include "model/config.h"

namespace lorikeet {

// As the overload of config.json; further, a head that is stored and is not the embedding is the
// model's own, whatever tie_word_embeddings says, with a note. Reads both tensors then. Throws
// Error.
ModelConfig ReadModelConfig(const ModelSource& source);

// The same model with a config.json that says what its family's defaults and rules decide, so that
// another family (checkpoint/upcycle.h) reads the same from it. Throws Error if only some layers
// have a window, which no key says in every family.
ModelSource WithExplicitConfig(const ModelSource& source);

}  // namespace lorikeet
