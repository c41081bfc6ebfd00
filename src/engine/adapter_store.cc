#include "engine/adapter_store.h"

#include <utility>

#include "model/lora.h"

namespace lorikeet {

std::shared_ptr<const LoraWeights> AdapterStore::Load(const std::string& path) {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<const LoraWeights>& weights = weights_[path];
  if (weights != nullptr) return weights;
  try {
    weights = LoraAdapter::Load(model_, path).weights().Copy();  // without its masters
  } catch (...) {
    weights_.erase(path);
    throw;
  }
  return weights;
}

void AdapterStore::Put(const std::string& name, std::shared_ptr<const LoraWeights> weights) {
  CHECK(weights != nullptr);
  const std::lock_guard lock(mutex_);
  weights_[name] = std::move(weights);
}

std::shared_ptr<const LoraWeights> AdapterStore::Find(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto found = weights_.find(name);
  return found == weights_.end() ? nullptr : found->second;
}

bool AdapterStore::Remove(const std::string& name) {
  const std::lock_guard lock(mutex_);
  return weights_.erase(name) > 0;
}

std::vector<std::string> AdapterStore::Names() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  for (const auto& [name, weights] : weights_) names.push_back(name);
  return names;
}

size_t AdapterStore::Bytes() const {
  const std::lock_guard lock(mutex_);
  size_t bytes = 0;
  for (const auto& [name, weights] : weights_) bytes += weights->Bytes();
  return bytes;
}

}  // namespace lorikeet
