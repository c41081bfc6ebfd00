// What can be known of a model without loading its weights.
#pragma once
#include <string>

#include "chat/bundle.h"
#include "checkpoint/model_source.h"
#include "core/tensor.h"
#include "model/config.h"

namespace lorikeet {

struct ModelShape {
  std::string path;
  ModelConfig config;
  DType stored = DType::kF32;  // of the matrices; from config.json where there are no weights
  bool has_weights = false;
};

// How the matrices of the layers lie in the file: decides whether they can be used there.
DType MatrixDtype(const ModelSource& source);

// A model as ModelSource::Open takes it, or a config.json, or a folder that holds only that.
// Throws Error.
ModelShape ReadModelShape(const std::string& path_or_name);

// The tokenizer of a model or of a folder with tokenizer files alone. Throws Error(kNotFound) where
// there is none.
TokenizerSources ReadTokenizerSources(const std::string& path_or_name);
TokenizerBundle ReadTokenizer(const std::string& path_or_name);

}  // namespace lorikeet
