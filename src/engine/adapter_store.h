// An `AdapterStore` holds the adapters that are loaded over one base model, by name, each as an
// immutable snapshot that sampling can use while training goes on.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "model/lora_weights.h"
#include "model/weights.h"

namespace lorikeet {

class AdapterStore {
 public:
  // `model` must outlive the store.
  explicit AdapterStore(const Model& model) : model_(model) {}

  // The adapter of a folder (peft, mlx-lm) or GGUF file; loaded once, and kept under its path.
  // Throws Error as LoraAdapter::Load does.
  std::shared_ptr<const LoraWeights> Load(const std::string& path);
  // Stores a snapshot under a name, in place of an earlier one of that name.
  void Put(const std::string& name, std::shared_ptr<const LoraWeights> weights);
  // Null when there is none of that name.
  std::shared_ptr<const LoraWeights> Find(const std::string& name) const;
  // Forgets a name; sequences that use its weights keep them to their end. False: no such name.
  bool Remove(const std::string& name);

  std::vector<std::string> Names() const;  // sorted
  size_t Bytes() const;                    // size of all factors

 private:
  const Model& model_;
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<const LoraWeights>> weights_;
};

}  // namespace lorikeet
