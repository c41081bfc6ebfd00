// Names of the tensors of a language model inside a model that wraps it, such as Gemma 3 with a
// vision tower: one whose config.json has a `text_config`.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/safetensors.h"
#include "core/json.h"

namespace lorikeet {

// Prefixes of module names, before "layers.0.": of a plain model, and of a wrapper in transformers
// 4.52 and later, whose names peft uses too.
inline constexpr std::string_view kPlainPrefix = "model.";
inline constexpr std::string_view kWrappedPrefix = "model.language_model.";

bool IsWrapper(const Json& config);
inline std::string_view TextPrefix(const Json& config) {
  return IsWrapper(config) ? kWrappedPrefix : kPlainPrefix;
}

// "model.language_model.layers.0.mlp.up_proj" and "language_model.model.layers.0.mlp.up_proj" ->
// "model.layers.0.mlp.up_proj"; other names are unchanged.
std::string WithoutWrapper(std::string_view name);

// A `TextNames` translates between the names in the files of one wrapper and those of its modules.
// Files have the modules' names, or older ones, "language_model.model.layers.0." with
// "language_model.lm_head", or those of the language model alone, "model.layers.0.". Where the
// embedding lies tells which.
class TextNames {
 public:
  explicit TextNames(const std::vector<NamedTensor>& tensors);

  // The module's name of a tensor in the file; "" for one that is not the language model's.
  std::string OfModule(std::string_view file_name) const;
  // The file's name of a tensor of the language model.
  std::string InFile(std::string_view module_name) const;

 private:
  std::string_view prefix_;  // in the files; empty: there is no embedding
  std::string_view head_ = "lm_head.";
};

}  // namespace lorikeet
