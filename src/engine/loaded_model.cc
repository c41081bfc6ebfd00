#include "engine/loaded_model.h"

#include <future>

#include "checkpoint/adapter_formats.h"
#include "core/error.h"
#include "core/heap.h"

namespace lorikeet {
const TokenizerBundle& LoadedModel::Text() const {
  if (!tokenizer) FailWithoutTokenizer(model->source().path());
  return *tokenizer;
}

DatasetText LoadedModel::ForData() const {
  return {tokenizer ? &*tokenizer : nullptr, model->config().vocab_size, model->source().path()};
}

DType ParseComputeDtype(const std::string& name) {
  if (name == "auto") return DefaultComputeDtype();
  if (name == "f32") return DType::kF32;
  if (name == "bf16") {
    if (DefaultComputeDtype() != DType::kBF16) {
      Fail(ErrorCode::kUnsupported,
           "dtype bf16: this CPU does not multiply bf16 natively; use f32 or auto");
    }
    return DType::kBF16;
  }
  Fail(ErrorCode::kInvalidArgument, "dtype '{}' is not one of auto, bf16, f32", name);
}

LoadedModel LoadModel(const std::string& path_or_name, DType compute) {
  LoadedModel loaded;
  // In parallel with the weights, which wait for memory: the tokenizer is text to be parsed.
  auto text = std::async(std::launch::async, [&path_or_name, &loaded] {
    const ModelSource source = ModelSource::Open(path_or_name);
    loaded.text_files = CollectTextFiles(source);
    const auto sources = TokenizerSourcesOf(loaded.text_files, source.path());
    if (sources) loaded.tokenizer = LoadTokenizerBundle(*sources);
    ReleaseFreedMemory();
  });
  loaded.model = Model::Load(path_or_name, compute);
  text.get();
  ReleaseFreedMemory();
  return loaded;
}

std::string BaseModelOf(const std::string& model, const std::optional<std::string>& adapter) {
  if (!model.empty()) return model;
  if (!adapter) {
    Fail(ErrorCode::kInvalidArgument,
         "no model: give --model (a folder, a GGUF file or a name in the Hugging Face cache)");
  }
  std::string base = BaseNamedByAdapter(*adapter);
  if (base.empty()) {
    Fail(ErrorCode::kInvalidArgument, "{}: names no base model; give --model", *adapter);
  }
  return base;
}

}  // namespace lorikeet
