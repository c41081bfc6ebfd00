// A `LoadedModel` is a model with its tokenizer, ready for a command, from a Hugging Face folder, a
// GGUF file or a name in the cache.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "chat/bundle.h"
#include "data/dataset_files.h"
#include "engine/text_files.h"
#include "model/weights.h"

namespace lorikeet {

struct LoadedModel {
  std::unique_ptr<Model> model;
  std::optional<TokenizerBundle> tokenizer;  // empty if the model has none beside it
  std::vector<TextFile> text_files;          // to be copied beside trained weights

  // Throws Error(kNotFound) naming the folder when there is no tokenizer.
  const TokenizerBundle& Text() const;
  DatasetText ForData() const;  // refers to this model's tokenizer
};

// "auto": bf16 where the CPU multiplies it natively, else f32. "bf16", "f32". Throws Error.
DType ParseComputeDtype(const std::string& name);

// Throws Error for any fault of the files.
LoadedModel LoadModel(const std::string& path_or_name, DType compute);

// The model to load for a model, an adapter or both: `model`, or else the base that the adapter
// names. Throws Error(kInvalidArgument) if neither names one.
std::string BaseModelOf(const std::string& model, const std::optional<std::string>& adapter);

}  // namespace lorikeet
