// The rotary embedding of config.json, as RotaryEmbeddingConfigMixin of transformers reads it.
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "core/error.h"
#include "model/config_parts.h"

namespace lorikeet {
namespace {

constexpr const char* kTypes[] = {"default", "linear", "llama3", "yarn"};
constexpr const char* kLongropeTypes[] = {"default", "longrope"};
constexpr const char* kPartial = "partial_rotary_factor";

std::span<const char* const> TypesOf(const Family& family) {
  if (family.longrope) return kLongropeTypes;
  return kTypes;
}

void RefusePartialRotation(const JsonFields& json, const Family& family) {
  if (family.reads_partial_rotary_factor || json.Get<double>(kPartial, 1.0) == 1.0) return;
  Fail(ErrorCode::kUnsupported, "{}: partial_rotary_factor is not supported in this family",
       json.where());
}

void RefuseBlock(const JsonFields& rope, const Family& family, const std::string& type) {
  for (const auto& [key, value] : rope.json().items()) {
    if (!value.is_object()) continue;
    Fail(ErrorCode::kUnsupported, "{}: a rope of its own for '{}' is not supported in this family",
         rope.where(), key);
  }
  RefusePartialRotation(rope, family);
  const auto types = TypesOf(family);
  if (std::find(types.begin(), types.end(), type) != types.end()) return;
  Fail(ErrorCode::kUnsupported, "{}: rope type '{}' is not supported; supported: {}", rope.where(),
       type, fmt::join(types, ", "));
}

// The key of the block goes before that of the model itself.
int64_t RotaryDim(const JsonFields& json, const JsonFields& rope, const Family& family,
                  int64_t head_dim) {
  if (!family.reads_partial_rotary_factor) return head_dim;
  const double share =
      rope.Get<double>(kPartial, json.Get<double>(kPartial, family.partial_rotary_factor));
  if (share > 0 && share <= 1) {
    return static_cast<int64_t>(static_cast<double>(head_dim) * share);
  }
  Fail(ErrorCode::kCorruptFile, "{}: partial_rotary_factor {} is not above 0 and at most 1",
       json.where(), share);
}

// A key of the model itself goes before that of the block, as transformers wants it for Phi-3.
int64_t OriginalLength(const JsonFields& json, const JsonFields& rope, const Family& family,
                       const ModelConfig& config) {
  constexpr const char* kKey = "original_max_position_embeddings";
  if (json.Has(kKey)) return json.Size(kKey);
  if (family.original_max_position_embeddings > 0) return family.original_max_position_embeddings;
  return rope.Size(kKey, config.max_position_embeddings);
}

// null and 0 are the default.
double NumberOr(const JsonFields& rope, const char* key, double by_default) {
  const double value = rope.Get<double>(key, by_default);
  return value == 0 ? by_default : value;
}

std::optional<double> Optional(const JsonFields& rope, const char* key) {
  if (!rope.Has(key)) return std::nullopt;
  return rope.Need<double>(key);
}

void ReadYarn(const JsonFields& rope, const ModelConfig& config, RopeScaling* scaling) {
  scaling->factor = rope.Get<double>(
      "factor", static_cast<double>(config.max_position_embeddings) /
                    static_cast<double>(scaling->original_max_position_embeddings));
  scaling->beta_fast = NumberOr(rope, "beta_fast", 32);
  scaling->beta_slow = NumberOr(rope, "beta_slow", 1);
  scaling->attention_factor = Optional(rope, "attention_factor");
  scaling->mscale = Optional(rope, "mscale");
  scaling->mscale_all_dim = Optional(rope, "mscale_all_dim");
  // null is false, unlike a missing key.
  const bool is_null = rope.json().contains("truncate") && !rope.Has("truncate");
  scaling->truncate = rope.Get<bool>("truncate", !is_null);
}

// The lists of both lengths must fit, though only the short one is used.
void ReadLongrope(const JsonFields& rope, const ModelConfig& config, RopeScaling* scaling) {
  const auto max = static_cast<double>(config.max_position_embeddings);
  scaling->factor = rope.Get<double>(
      "factor", max / static_cast<double>(scaling->original_max_position_embeddings));
  scaling->attention_factor = Optional(rope, "attention_factor");
  const auto list = [&](const char* key) {
    auto factors = rope.Need<std::vector<double>>(key);
    const auto pairs = static_cast<size_t>(config.rotary_dim / 2);
    if (factors.size() == pairs) return factors;
    Fail(ErrorCode::kCorruptFile, "{}: {} has {} entries for {} pairs of a head", rope.where(), key,
         factors.size(), pairs);
  };
  scaling->long_factor = list("long_factor");
  scaling->short_factor = list("short_factor");
}

std::string TypeOf(const JsonFields& rope, const Family& family) {
  const auto type = rope.Get<std::string>("rope_type", rope.Get<std::string>("type", "default"));
  return family.longrope && (type == "su" || type == "yarn") ? "longrope" : type;
}

RopeScaling ReadScaling(const JsonFields& json, const JsonFields& rope, const Family& family,
                        const ModelConfig& config) {
  RopeScaling scaling;
  scaling.type = TypeOf(rope, family);
  RefuseBlock(rope, family, scaling.type);
  if (scaling.type == "default") return scaling;
  const bool needs_factor = scaling.type == "linear" || scaling.type == "llama3";
  if (needs_factor) scaling.factor = rope.Need<double>("factor");
  if (scaling.type == "linear") return scaling;
  scaling.original_max_position_embeddings = OriginalLength(json, rope, family, config);
  if (scaling.type == "longrope") ReadLongrope(rope, config, &scaling);
  if (scaling.type == "yarn") ReadYarn(rope, config, &scaling);
  if (scaling.type != "llama3") return scaling;
  scaling.low_freq_factor = rope.Need<double>("low_freq_factor");
  scaling.high_freq_factor = rope.Need<double>("high_freq_factor");
  return scaling;
}

// transformers drops rope_parameters when there is a rope_scaling, and with it the theta of folders
// that it has saved itself.
void CompareBlocks(const JsonFields& used, const JsonFields& dropped, ModelConfig* config) {
  if (dropped.json().empty() || dropped.json() == used.json()) return;
  const double theta = dropped.Get<double>("rope_theta", config->rope_theta);
  if (theta != config->rope_theta) {
    Fail(ErrorCode::kUnsupported,
         "{}: rope_scaling replaces rope_parameters, and so rope_theta would be {:g} instead of "
         "{:g}; write one block with the rope_theta that is meant",
         dropped.where(), config->rope_theta, theta);
  }
  config->notes.push_back(fmt::format("{} is used, and {} beside it is not, as in transformers",
                                      used.where(), dropped.where()));
}

// As Ministral3Attention uses it.
void ReadQueryTemperature(const JsonFields& rope, ModelConfig* config) {
  constexpr const char* kKey = "llama_4_scaling_beta";
  const double beta = rope.Get<double>(kKey, 0);
  if (beta == 0) return;
  if (!(beta > 0) || config->rope_scaling.original_max_position_embeddings < 1) {
    Fail(ErrorCode::kCorruptFile,
         "{}: {} is {}; it must be positive, and needs original_max_position_embeddings beside it",
         rope.where(), kKey, beta);
  }
  config->llama_4_scaling_beta = beta;
}

// As HunYuanDenseV1RotaryEmbedding: a "dynamic" rope with an alpha has another theta, the same at
// every length. True if it is one.
bool ReadAlpha(const JsonFields& rope, ModelConfig* config) {
  const auto type = rope.Get<std::string>("rope_type", rope.Get<std::string>("type", "default"));
  const double alpha = rope.Get<double>("alpha", 0);
  if (type != "dynamic" || alpha == 0) return false;
  if (!(alpha > 0) || config->head_dim <= 2) {
    Fail(ErrorCode::kCorruptFile, "{}: alpha is {} with heads of {}; both must be larger",
         rope.where(), alpha, config->head_dim);
  }
  const auto dim = static_cast<double>(config->head_dim);
  config->rope_theta *= std::pow(alpha, dim / (dim - 2));
  return true;
}

void CheckTable(const JsonFields& json, int64_t dim, double theta, const RopeScaling& scaling) {
  try {
    RopeTable(dim, theta, scaling);
  } catch (const Error& e) {
    Fail(e.code(), "{}: {}", json.where(), e.what());
  }
}

// Theta of the layers with a window where their block does not say it. Olmo 3 has one theta; for a
// file with another than the class's, versions of transformers disagree about these layers.
double LocalTheta(const JsonFields& json, const Family& family) {
  const double standard = family.rope_local_base_freq;
  if (standard != family.rope_theta) return json.Get<double>("rope_local_base_freq", standard);
  const double theta = json.Get<double>("rope_theta", standard);
  if (theta == standard || json.Object("rope_parameters").Has("sliding_attention")) return standard;
  Fail(ErrorCode::kUnsupported,
       "{}: rope_theta is {:g}, which does not say whether it is that of layers with a window too; "
       "write rope_parameters with a block for full_attention and one for sliding_attention",
       json.where(), theta);
}

// As Gemma3TextConfig and Olmo3Config: a block per layer type in rope_parameters; or, in older
// files, rope_theta and rope_scaling of the layers without a window and rope_local_base_freq of
// those with one.
void ReadRopeByLayerType(const JsonFields& json, const Family& family, ModelConfig* config) {
  constexpr const char *kFull = "full_attention", *kSliding = "sliding_attention";
  const JsonFields blocks = json.Object("rope_parameters");
  for (const auto& [key, value] : blocks.json().items()) {
    if (key == kFull || key == kSliding) continue;
    Fail(ErrorCode::kUnsupported,
         "{}: {} is not a block of {} or {}, which this family has instead of one rope",
         blocks.where(), key, kFull, kSliding);
  }
  Json full = blocks.Object(kFull).json();
  full.update(json.Object("rope_scaling").json());
  const JsonFields global(full, json.where() + ": rope of " + kFull);
  const JsonFields local = blocks.Object(kSliding);
  config->rope_theta =
      global.Get<double>("rope_theta", json.Get<double>("rope_theta", family.rope_theta));
  config->rope_local_base_freq = local.Get<double>("rope_theta", LocalTheta(json, family));
  config->rope_scaling = ReadScaling(json, global, family, *config);
  config->local_rope_scaling = ReadScaling(json, local, family, *config);
  CheckTable(json, config->head_dim, config->rope_theta, config->rope_scaling);
  CheckTable(json, config->head_dim, config->rope_local_base_freq, config->local_rope_scaling);
}

}  // namespace

void ReadRope(const JsonFields& json, const Family& family, ModelConfig* config) {
  RefusePartialRotation(json, family);
  config->rotary_dim = config->head_dim;
  if (family.rope_by_layer_type) return ReadRopeByLayerType(json, family, config);
  const JsonFields older = json.Object("rope_scaling"), newer = json.Object("rope_parameters");
  const bool none = older.json().empty() && newer.json().empty();
  const Json by_default = none && family.rope_parameters != nullptr
                              ? ParseJson(family.rope_parameters, family.model_type)
                              : Json::object();
  const JsonFields standard(by_default, json.where() + ": rope_parameters of its class");
  const JsonFields& rope = !older.json().empty() ? older : none ? standard : newer;
  config->rope_theta =
      rope.Get<double>("rope_theta", json.Get<double>("rope_theta", family.rope_theta));
  config->rotary_dim = RotaryDim(json, rope, family, config->head_dim);
  if (!older.json().empty()) CompareBlocks(older, newer, config);
  if (!family.reads_rope_alpha || !ReadAlpha(rope, config)) {
    config->rope_scaling = ReadScaling(json, rope, family, *config);
  }
  if (family.reads_query_temperature) ReadQueryTemperature(rope, config);
  CheckTable(json, config->rotary_dim, config->rope_theta, config->rope_scaling);
  if (config->rope_scaling.type != "longrope") return;
  config->long_max_position_embeddings = config->max_position_embeddings;
  int64_t& longest = config->max_position_embeddings;
  longest = std::min(longest, config->rope_scaling.original_max_position_embeddings);
}

}  // namespace lorikeet
