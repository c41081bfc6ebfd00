#include "checkpoint/mlx_adapter.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <set>
#include <string_view>

#include "checkpoint/adapter_pairs.h"
#include "checkpoint/text_names.h"
#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "core/json_fields.h"
#include "core/text.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;

std::string ConfigPath(const std::string& dir) {
  return (fs::path(dir) / "adapter_config.json").string();
}
std::string WeightsPath(const std::string& dir) {
  return (fs::path(dir) / "adapters.safetensors").string();
}

struct MlxConfig {
  int rank = 0;
  double scale = 0;
  float dropout = 0;
  std::string model;
};

MlxConfig ParseConfig(const Json& json, const std::string& where) {
  static const Json kEmpty = Json::object();
  const JsonFields fields(json.is_object() ? json : kEmpty, where);
  const Json& type = fields.At("fine_tune_type");
  const bool lora = (type.is_null() || type == "lora") && fields.At("use_dora") != true;
  if (!lora) {
    Fail(ErrorCode::kUnsupported,
         "{}: fine_tune_type is not \"lora\"; DoRA and full weights are not adapters that can be "
         "read here",
         where);
  }
  if (!fields.At("lora_parameters").is_object()) {
    Fail(ErrorCode::kCorruptFile, "{}: has no lora_parameters; not an adapter of mlx-lm", where);
  }
  const JsonFields parameters = fields.Object("lora_parameters");
  if (parameters.Has("alpha")) {
    Fail(
        ErrorCode::kUnsupported,
        "{}: lora_parameters names alpha, which old versions of mlx-lm multiply into the scale and "
        "new ones ignore; put the whole scale into \"scale\" and take alpha out",
        where);
  }
  constexpr double kMax = std::numeric_limits<float>::max();
  MlxConfig config;
  const double rank = parameters.Number("rank", 1, 1 << 16);
  if (rank != std::floor(rank)) parameters.Expected("rank", "a whole number");
  config.rank = static_cast<int>(rank);
  config.scale = parameters.Number("scale", -kMax / rank, kMax / rank);
  config.dropout = static_cast<float>(parameters.Number("dropout", 0, 0.999999, 0));
  if (fields.At("model").is_string()) config.model = fields.String("model");
  return config;
}

MlxConfig ReadConfig(const std::string& dir) {
  const std::string path = ConfigPath(dir);
  return ParseConfig(ParseJson(ReadFile(path), path), path);
}

template <class Bits>
void TransposeBits(const Tensor& from, const Tensor& to) {
  const auto* in = static_cast<const Bits*>(from.data);
  auto* out = static_cast<Bits*>(to.data);
  for (int64_t i = 0; i < from.rows(); ++i) {
    for (int64_t j = 0; j < from.cols(); ++j) out[j * to.cols() + i] = in[i * from.cols() + j];
  }
}

// The transpose, in the same dtype, with zeros up to the size of `to`.
Tensor Transposed(const Tensor& from, int64_t rows, int64_t cols, std::vector<Buffer>* storage) {
  CHECK(rows >= from.cols() && cols >= from.rows());
  storage->emplace_back(from.dtype, std::initializer_list<int64_t>{rows, cols});
  const Tensor& to = storage->back().tensor();
  from.dtype == DType::kF32 ? TransposeBits<uint32_t>(from, to) : TransposeBits<uint16_t>(from, to);
  return to;
}

void CheckMatrix(const std::string& name, const Tensor& t, const std::string& path) {
  const bool is_float = t.dtype == DType::kF32 || t.dtype == DType::kF16 || t.dtype == DType::kBF16;
  if (t.rank == 2 && t.size() > 0 && is_float) return;
  Fail(ErrorCode::kCorruptFile, "{}: {}: not a matrix of f32, f16 or bf16 numbers", path,
       QuotedName(name));
}

OrderedJson ConfigJson(const AdapterFile& adapter, int rank, double scale) {
  // mlx-lm compares the keys with paths within a layer and with whole paths.
  std::set<std::string> keys;
  for (const auto& pair : adapter.pairs) {
    constexpr std::string_view kLayers = "model.layers.";
    const size_t dot = pair.module.find('.', kLayers.size());
    const bool layer = pair.module.starts_with(kLayers) && dot != std::string::npos;
    keys.insert(layer ? pair.module.substr(dot + 1) : pair.module);
  }
  OrderedJson json = {{"fine_tune_type", "lora"},
                      {"num_layers", -1},  // all; modules without factors in the file do nothing
                      {"lora_parameters",
                       {{"rank", rank},
                        {"scale", scale},
                        {"dropout", adapter.config.lora_dropout},
                        {"keys", keys}}}};
  json["model"] = adapter.config.base_model_name_or_path;
  return json;
}

}  // namespace

AdapterFile ReadMlxAdapter(const std::string& dir) {
  const std::string path = WeightsPath(dir);
  const MlxConfig config = ReadConfig(dir);
  AdapterFile adapter;
  adapter.file = OpenSafetensors(path);
  PairsOfFile pairs(path);
  for (const auto& [name, tensor] : adapter.file->tensors()) {
    const bool a = name.ends_with(".lora_a");
    if (!a && !name.ends_with(".lora_b")) {
      Fail(ErrorCode::kUnsupported,
           "{}: tensor {} is neither lora_a nor lora_b of a linear layer; DoRA and full weights "
           "are not supported",
           path, QuotedName(name));
    }
    CheckMatrix(name, tensor, path);
    const std::string module = name.substr(0, name.size() - 7);
    const Tensor turned = Transposed(tensor, tensor.cols(), tensor.rows(), &adapter.storage);
    a ? pairs.AddA(module, turned) : pairs.AddB(module, turned);
  }
  adapter.pairs = pairs.Finish();
  for (AdapterFile::Pair& pair : adapter.pairs) {
    if (pair.r != config.rank) {
      Fail(ErrorCode::kCorruptFile, "{}: {}: is of rank {} where the config gives {}", path,
           QuotedName(pair.module), pair.r, config.rank);
    }
    pair.alpha = static_cast<float>(config.scale * config.rank);
  }
  adapter.config = ConfigOfPairs(adapter.pairs);
  adapter.config.lora_dropout = config.dropout;
  adapter.config.base_model_name_or_path = config.model;
  return adapter;
}

MlxWritten WriteMlxAdapter(const std::string& dir, const AdapterFile& adapter) {
  const FoldedAdapter folded = FoldScales(adapter, OneNumber::kScale);
  MlxWritten written = {.folded = folded.folded};
  int64_t rank = 0;
  for (const auto& pair : folded.pairs) {
    if (pair.module.find(".experts.") != std::string::npos) {
      Fail(ErrorCode::kUnsupported,
           "{}: {}: mlx-lm keeps all experts in one tensor, for which no adapter is written here; "
           "merge it into its base",
           dir, QuotedName(pair.module));
    }
    if (pair.module.starts_with(kWrappedPrefix)) {
      Fail(ErrorCode::kUnsupported,
           "{}: {}: mlx-lm has other names for the parts of a model with a vision tower, for which "
           "no adapter is written here; merge it into its base",
           dir, QuotedName(pair.module));
    }
    rank = std::max(rank, pair.a.rows());
  }
  std::vector<Buffer> storage;
  std::vector<TensorToWrite> tensors;
  for (const auto& [module, a, b, magnitude] : folded.pairs) {
    if (a.rows() < rank) ++written.padded;
    const Tensor at = Transposed(a, a.cols(), rank, &storage);
    const Tensor bt = Transposed(b, rank, b.rows(), &storage);
    tensors.push_back({module + ".lora_a", at.dtype, {at.rows(), at.cols()}, at.data});
    tensors.push_back({module + ".lora_b", bt.dtype, {bt.rows(), bt.cols()}, bt.data});
  }
  CreateFolders(dir);
  WriteSafetensors(WeightsPath(dir), tensors, {{"format", "mlx"}});
  const OrderedJson json = ConfigJson(adapter, static_cast<int>(rank), folded.number);
  WriteFileAtomically(ConfigPath(dir),
                      json.dump(4, ' ', false, OrderedJson::error_handler_t::replace) + "\n");
  return written;
}

std::string BaseNamedByMlx(const std::string& dir) { return ReadConfig(dir).model; }

}  // namespace lorikeet
