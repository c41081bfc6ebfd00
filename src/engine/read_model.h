// Shape and tokenizer of a model, read without loading its weights.
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
  DType stored = DType::kF32;  // dtype of the matrices; from config.json if there are no weights
  bool has_weights = false;
};

// Dtype of the layers' matrices in the file, which determines whether they can be used there.
DType MatrixDtype(const ModelSource& source);

// `path_or_name`: as for ModelSource::Open, or a config.json, or a folder with only that. Throws
// Error.
ModelShape ReadModelShape(const std::string& path_or_name);

// The tokenizer of a model or of a folder with tokenizer files alone. Throws Error(kNotFound) if
// there is none.
TokenizerSources ReadTokenizerSources(const std::string& path_or_name);
TokenizerBundle ReadTokenizer(const std::string& path_or_name);

}  // namespace lorikeet
