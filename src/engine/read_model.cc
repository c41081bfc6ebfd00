#include "engine/read_model.h"

#include <algorithm>
#include <filesystem>

#include "checkpoint/text_names.h"
#include "core/error.h"
#include "core/file.h"
#include "engine/text_files.h"
#include "model/export.h"
#include "model/source_config.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;

// The config.json of a folder without weights, or the path itself if it is such a file; else "".
std::string ConfigAlone(const std::string& path) {
  if (fs::is_regular_file(path)) return path.ends_with(".json") ? path : "";
  const fs::path config = fs::path(path) / "config.json";
  if (!fs::is_regular_file(config)) return "";
  const auto is_weights = [](const fs::directory_entry& entry) {
    return entry.path().filename().string().find(".safetensors") != std::string::npos;
  };
  const bool has_weights =
      std::any_of(fs::directory_iterator(path), fs::directory_iterator(), is_weights);
  return has_weights ? "" : config.string();
}

DType DtypeOfConfig(const Json& config) {
  for (const char* key : {"dtype", "torch_dtype"}) {
    if (!config.contains(key) || !config[key].is_string()) continue;
    const auto name = config[key].get<std::string>();
    if (name == "bfloat16") return DType::kBF16;
    if (name == "float16") return DType::kF16;
  }
  return DType::kF32;
}

// Without weights the sizes in config.json are unchecked, and they are multiplied later.
void RefuseImpossibleSizes(const ModelConfig& c, const std::string& where) {
  const auto width =
      static_cast<double>(c.hidden_size + c.q_size() + 2 * c.kv_size() + c.intermediate_size) +
      static_cast<double>(c.num_experts) * static_cast<double>(c.moe_intermediate_size + 1);
  const auto layers = static_cast<double>(c.num_hidden_layers);
  const auto hidden = static_cast<double>(c.hidden_size);
  const double weights =
      layers * 4 * hidden * width + 2 * static_cast<double>(c.vocab_size) * hidden;
  if (layers * width <= 1e9 && weights <= 1e14) return;
  Fail(ErrorCode::kCorruptFile, "{}: describes a model of about {:.0e} weights; check the sizes",
       where, weights);
}

}  // namespace

DType MatrixDtype(const ModelSource& source) {
  const std::string layers = std::string(TextPrefix(source.config())) + "layers.";
  const ModelSource::Entry* entry = source.Find(layers + "0.mlp.down_proj.weight");
  return entry == nullptr ? StoredDtype(source) : entry->dtype;
}

ModelShape ReadModelShape(const std::string& path_or_name) {
  const std::string alone = ConfigAlone(path_or_name);
  if (!alone.empty()) {
    const Json json = ParseJson(ReadFile(alone), alone);
    const ModelConfig config = ReadModelConfig(json, alone);
    RefuseImpossibleSizes(config, alone);
    return {alone, config, DtypeOfConfig(json), false};
  }
  const ModelSource source = ModelSource::Open(path_or_name);
  return {source.path(), ReadModelConfig(source), MatrixDtype(source), true};
}

TokenizerSources ReadTokenizerSources(const std::string& path_or_name) {
  const fs::path path(path_or_name);
  const bool is_file = path.extension() == ".json" || path.filename() == "tokenizer.model";
  const fs::path folder = is_file ? path.parent_path() : path;
  if (HasTokenizerFile(folder.string())) {
    return ReadTokenizerFolder(folder.string());
  }
  const ModelSource source = ModelSource::Open(path_or_name);
  const std::optional<TokenizerSources> sources = TokenizerSourcesOf(source);
  if (!sources) FailWithoutTokenizer(source.path());
  return *sources;
}

TokenizerBundle ReadTokenizer(const std::string& path_or_name) {
  return LoadTokenizerBundle(ReadTokenizerSources(path_or_name));
}

}  // namespace lorikeet
