#include "serve/served_models.h"

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <utility>

#include "core/error.h"
#include "model/lora.h"

namespace lorikeet {
namespace {

const std::string* ContentOf(const std::vector<TextFile>& files, const std::string& name) {
  const auto found = std::find_if(files.begin(), files.end(),
                                  [&](const TextFile& file) { return file.name == name; });
  return found == files.end() ? nullptr : &found->content;
}

std::string GenerationConfig(const std::vector<TextFile>& files) {
  const std::string* content = ContentOf(files, "generation_config.json");
  return content == nullptr ? "" : *content;
}

}  // namespace

ServedModels::ServedModels(std::shared_ptr<const LoadedModel> loaded, const std::string& name,
                           const TextOptions& options)
    : loaded_(std::move(loaded)), options_(options) {
  ServedModel base{.name = name,
                   .root = loaded_->model->source().path(),
                   .parent = "",
                   .created = std::time(nullptr),
                   .adapter = nullptr,
                   .text = nullptr};
  if (loaded_->tokenizer) {
    const std::shared_ptr<const TokenizerBundle> bundle(loaded_, &*loaded_->tokenizer);
    base.text = std::make_shared<const ModelText>(bundle, GenerationConfig(loaded_->text_files),
                                                  name, options);
  }
  base_ = std::make_shared<const ServedModel>(std::move(base));
}

ServedModelPtr ServedModels::Find(const std::string& name) const {
  if (name.empty() || name == base_->name) return base_;
  const std::lock_guard lock(mutex_);
  const auto found = adapters_.find(name);
  return found == adapters_.end() ? nullptr : found->second;
}

std::vector<ServedModelPtr> ServedModels::List() const {
  const std::lock_guard lock(mutex_);
  std::vector<ServedModelPtr> list = {base_};
  for (const auto& [name, model] : adapters_) list.push_back(model);
  return list;
}

// The base's, unless the adapter's folder has text files of other content.
std::shared_ptr<const ModelText> ServedModels::TextOf(const std::string& path) const {
  std::error_code ignored;
  if (!std::filesystem::is_directory(path, ignored) || !HasTokenizerFile(path)) return base_->text;
  const std::vector<TextFile> files = TextFilesIn(path);
  const bool same = std::all_of(files.begin(), files.end(), [this](const TextFile& file) {
    const std::string* ours = ContentOf(loaded_->text_files, file.name);
    return ours != nullptr && *ours == file.content;
  });
  if (same && files.size() == loaded_->text_files.size()) return base_->text;
  auto bundle =
      std::make_shared<const TokenizerBundle>(LoadTokenizerBundle(ReadTokenizerFolder(path)));
  std::string generation_config = GenerationConfig(files);
  if (generation_config.empty()) generation_config = GenerationConfig(loaded_->text_files);
  return std::make_shared<const ModelText>(std::move(bundle), generation_config, path, options_);
}

ServedModelPtr ServedModels::Load(const std::string& name, const std::string& path, bool replace) {
  if (!replace && Find(name) != nullptr) {
    Fail(ErrorCode::kInvalidArgument, "the name '{}' is taken by a model that is served", name);
  }
  // A copy has no masters.
  return Store({.name = name,
                .root = path,
                .parent = base_->name,
                .created = std::time(nullptr),
                .adapter = LoraAdapter::Load(model(), path).weights().Copy(),
                .text = TextOf(path)},
               replace);
}

ServedModelPtr ServedModels::Put(const std::string& name, const std::string& root,
                                 std::shared_ptr<const LoraWeights> weights,
                                 std::shared_ptr<const ModelText> text) {
  return Store({.name = name,
                .root = root,
                .parent = base_->name,
                .created = std::time(nullptr),
                .adapter = std::move(weights),
                .text = std::move(text)},
               /*replace=*/true);
}

ServedModelPtr ServedModels::Store(ServedModel model, bool replace) {
  if (model.name.empty() || model.name == base_->name) {
    Fail(ErrorCode::kInvalidArgument, "the name '{}' is that of the base model", base_->name);
  }
  auto stored = std::make_shared<const ServedModel>(std::move(model));
  const std::lock_guard lock(mutex_);
  ServedModelPtr& place = adapters_[stored->name];
  if (place != nullptr && !replace) {
    Fail(ErrorCode::kInvalidArgument, "the name '{}' is taken by a model that is served",
         stored->name);
  }
  place = stored;
  return stored;
}

bool ServedModels::Unload(const std::string& name) {
  const std::lock_guard lock(mutex_);
  return adapters_.erase(name) > 0;
}

size_t ServedModels::AdapterBytes() const {
  const std::lock_guard lock(mutex_);
  size_t bytes = 0;
  for (const auto& [name, model] : adapters_) bytes += model->adapter->Bytes();
  return bytes;
}

}  // namespace lorikeet
