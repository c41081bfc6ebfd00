// `ServedModels` are the names that requests may give as their model: the base, and adapters over
// it, which come and go while requests run.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/loaded_model.h"
#include "engine/model_text.h"
#include "model/lora_weights.h"

namespace lorikeet {

// A name and what it stands for. Immutable: requests keep the one that they began with.
struct ServedModel {
  std::string name;
  std::string root;                            // the folder or file
  std::string parent;                          // the base's name; "" for the base
  int64_t created = 0;                         // seconds since 1970
  std::shared_ptr<const LoraWeights> adapter;  // null: the base
  std::shared_ptr<const ModelText> text;       // null if the model has no tokenizer
};
using ServedModelPtr = std::shared_ptr<const ServedModel>;

// All calls are thread-safe.
class ServedModels {
 public:
  // name: of the base. Throws Error.
  ServedModels(std::shared_ptr<const LoadedModel> loaded, const std::string& name,
               const TextOptions& options);

  const Model& model() const { return *loaded_->model; }
  const std::shared_ptr<const LoadedModel>& loaded() const { return loaded_; }
  ServedModelPtr base() const { return base_; }
  // "" is the base. Null if there is none of this name.
  ServedModelPtr Find(const std::string& name) const;
  // The base, then adapters in order of their names.
  std::vector<ServedModelPtr> List() const;

  // Loads a folder or GGUF file under a name. Its own chat template and generation settings take
  // precedence over the base's. Throws Error: kInvalidArgument if the name is taken, unless
  // `replace`; as LoraAdapter::Load.
  ServedModelPtr Load(const std::string& name, const std::string& path, bool replace = false);
  // Weights of a training run, under its name.
  ServedModelPtr Put(const std::string& name, const std::string& root,
                     std::shared_ptr<const LoraWeights> weights,
                     std::shared_ptr<const ModelText> text);
  bool Unload(const std::string& name);  // false: no adapter of this name
  size_t AdapterBytes() const;

 private:
  std::shared_ptr<const ModelText> TextOf(const std::string& path) const;
  ServedModelPtr Store(ServedModel model, bool replace);

  std::shared_ptr<const LoadedModel> loaded_;
  TextOptions options_;
  ServedModelPtr base_;
  mutable std::mutex mutex_;
  std::map<std::string, ServedModelPtr> adapters_;
};

}  // namespace lorikeet
