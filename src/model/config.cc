#include "model/config.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "checkpoint/text_names.h"
#include "core/error.h"
#include "core/json_fields.h"
#include "model/config_parts.h"
#include "model/family.h"

namespace lorikeet {
namespace {

// " (around 'qwen3_5_text', with vision_config)" for a model whose language model is a part of it.
std::string WrapperText(const JsonFields& json) {
  std::string text;
  if (json.At("text_config").is_object()) {
    const Json& type = json.Object("text_config").At("model_type");
    text = type.is_string() ? fmt::format("around '{}'", type.get<std::string>()) : "a wrapper";
  }
  for (const char* tower : {"vision_config", "audio_config"}) {
    if (json.Has(tower)) text += fmt::format("{}with {}", text.empty() ? "" : ", ", tower);
  }
  return text.empty() ? "" : " (" + text + ")";
}

const Family& FamilyOf(const JsonFields& json) {
  const auto type = json.Need<std::string>("model_type");
  const Family* family = FindFamily(type);
  if (family != nullptr) return *family;
  std::vector<std::string> supported = SupportedModelTypes();
  for (const Wrapper& wrapper : Wrappers()) supported.emplace_back(wrapper.model_type);
  Fail(ErrorCode::kUnsupported, "{}: model_type '{}'{} is not supported; supported: {}",
       json.where(), type, WrapperText(json), fmt::join(supported, ", "));
}

// As SmolLM3Config: a list with an entry per layer, or the interval.
void ReadRopeLayers(const JsonFields& json, const Family& family, ModelConfig* config) {
  if (!family.reads_no_rope_layers) return;
  const int64_t layers = config->num_hidden_layers;
  std::vector<int64_t>& rotated = config->no_rope_layers;
  if (json.Has("no_rope_layers")) {
    rotated = json.Need<std::vector<int64_t>>("no_rope_layers");
    if (std::ssize(rotated) != layers) {
      Fail(ErrorCode::kCorruptFile, "{}: no_rope_layers has {} entries for {} layers", json.where(),
           rotated.size(), layers);
    }
    return;
  }
  const int64_t interval = json.Size("no_rope_layer_interval", 4);
  for (int64_t l = 0; l < layers; ++l) rotated.push_back((l + 1) % interval == 0 ? 0 : 1);
}

// The window of the family; 0: none. null is none, a missing key is the class's default.
int64_t SlidingWindow(const JsonFields& json, const Family& family) {
  constexpr int64_t kMaxWindow = int64_t{1} << 40;
  if (family.reads_use_sliding_window && !json.Get<bool>("use_sliding_window", false)) return 0;
  if (!json.json().contains("sliding_window")) return family.sliding_window;
  return json.Has("sliding_window") ? json.Int("sliding_window", 1, kMaxWindow) : 0;
}

int64_t WindowOfType(const JsonFields& json, const std::string& type, int64_t window) {
  if (type == "full_attention" || type == "attention") return 0;
  if (type != "sliding_attention") {
    Fail(ErrorCode::kUnsupported, "{}: layer type '{}' is not supported in this family",
         json.where(), type);
  }
  if (window > 0) return window;
  Fail(ErrorCode::kCorruptFile,
       "{}: layer_types names sliding_attention, but sliding_window or use_sliding_window says "
       "that there is no window",
       json.where());
}

bool HasWindow(const ModelConfig& config, const Family& family, int64_t layer,
               int64_t max_window_layers, int64_t pattern) {
  if (family.window == WindowRule::kFromMaxWindowLayers) return layer >= max_window_layers;
  if (family.window == WindowRule::kEvenBelowMaxWindowLayers) {
    return layer % 2 == 0 && layer < max_window_layers;
  }
  if (family.window == WindowRule::kWithoutRope) return !config.has_rope(layer);
  if (family.window == WindowRule::kAllButEveryNth) return (layer + 1) % pattern != 0;
  return true;
}

// By layer_types where the family reads it and the file has it, else by the family's rule.
void ReadWindows(const JsonFields& json, const Family& family, ModelConfig* config) {
  if (family.window == WindowRule::kNone) return;
  const int64_t layers = config->num_hidden_layers, window = SlidingWindow(json, family);
  std::vector<int64_t>& windows = config->windows;
  if (family.reads_layer_types && json.Has("layer_types")) {
    for (const std::string& type : json.Strings("layer_types")) {
      windows.push_back(WindowOfType(json, type, window));
    }
    if (std::ssize(windows) == layers) return;
    Fail(ErrorCode::kCorruptFile, "{}: layer_types has {} entries for {} layers", json.where(),
         windows.size(), layers);
  }
  const int64_t most = json.Get<int64_t>("max_window_layers", family.max_window_layers);
  const int64_t pattern = family.reads_window_pattern
                              ? json.Size("sliding_window_pattern", family.sliding_window_pattern)
                              : family.sliding_window_pattern;
  for (int64_t l = 0; l < layers; ++l) {
    windows.push_back(HasWindow(*config, family, l, most, pattern) ? window : 0);
  }
}

// As Exaone4Attention.
void ReadRopeInWindows(const JsonFields& json, const Family& family, ModelConfig* config) {
  if (!family.rope_in_windows_only) return;
  if (SlidingWindow(json, family) == 0) {
    if (!family.parallel_branches) return;
    Fail(ErrorCode::kUnsupported, "{}: sliding_window is null; not supported in this family",
         json.where());
  }
  for (const int64_t window : config->windows) config->no_rope_layers.push_back(window > 0 ? 1 : 0);
}

// As GraniteMoeHybridConfig, of which the dense models are computed.
void ReadGraniteHybrid(const JsonFields& json, ModelConfig* config) {
  constexpr const char* kExperts = "num_local_experts";
  const int64_t experts = json.Int(kExperts, 0, 1 << 20, 8);
  if (experts > 0) {
    Fail(ErrorCode::kUnsupported,
         "{}: {} is {}: of Granite 4 only models without experts and without Mamba are supported",
         json.where(), kExperts, experts);
  }
  const char* const key = json.Has("layer_types") ? "layer_types" : "layers_block_type";
  std::vector<std::string> types(static_cast<size_t>(config->num_hidden_layers), "mamba");
  if (json.Has(key)) types = json.Strings(key);
  for (const std::string& type : types) {
    if (type == "attention" || type == "full_attention") continue;
    Fail(ErrorCode::kUnsupported,
         "{}: {} has a layer '{}': of Granite 4 only models without experts and without Mamba are "
         "supported",
         json.where(), key, type);
  }
  if (json.Get<std::string>("position_embedding_type", "nope") == "rope") return;
  config->no_rope_layers.assign(static_cast<size_t>(config->num_hidden_layers), 0);
}

Activation ReadActivation(const JsonFields& json, const Family& family) {
  const auto name = json.Get<std::string>(family.activation_key, family.activation);
  if (!family.mlp.gated) {
    for (const Activation one : {Activation::kGeluTanh, Activation::kSquaredRelu}) {
      if (name == ActivationName(one)) return one;
    }
    Fail(ErrorCode::kUnsupported, "{}: {} '{}' is not supported without a gate, only {} and {}",
         json.where(), family.activation_key, name, ActivationName(Activation::kGeluTanh),
         ActivationName(Activation::kSquaredRelu));
  }
  if (name == "silu" || name == "swish") return Activation::kSilu;
  const bool tanh = name == "gelu_pytorch_tanh" || (family.gelu_is_tanh && name == "gelu");
  if (tanh && family.experts == nullptr) return Activation::kGeluTanh;
  Fail(ErrorCode::kUnsupported, "{}: {} '{}' is not supported, only silu{}", json.where(),
       family.activation_key, name,
       family.experts == nullptr ? " and gelu_pytorch_tanh" : " in a mixture of experts");
}

// The positive number of a key; null: 0, a missing key: the class's default.
double PositiveOr0(const JsonFields& json, const char* key, double by_default) {
  if (!json.json().contains(key)) return by_default;
  if (!json.Has(key)) return 0;
  const double value = json.Need<double>(key);
  if (value > 0 && std::isfinite(value)) return value;
  Fail(ErrorCode::kCorruptFile, "{}: {} is {}, not a positive number", json.where(), key, value);
}

// As GraniteConfig.
void ReadMultipliers(const JsonFields& json, ModelConfig* config) {
  const auto positive = [&](const char* key) {
    const double value = PositiveOr0(json, key, 1);
    if (value > 0) return value;
    Fail(ErrorCode::kCorruptFile, "{}: {} is null, not a positive number", json.where(), key);
  };
  config->embedding_multiplier = positive("embedding_multiplier");
  config->residual_multiplier = static_cast<float>(positive("residual_multiplier"));
  config->attention_multiplier = static_cast<float>(positive("attention_multiplier"));
  config->logit_multiplier = static_cast<float>(1 / positive("logits_scaling"));
}

// Factors and curves of embedding, scores and logits.
void ReadScales(const JsonFields& json, const Family& family, ModelConfig* config) {
  ModelConfig& c = *config;
  if (family.scales_embedding) {
    c.embedding_multiplier = std::sqrt(static_cast<double>(c.hidden_size));
    c.rounds_embedding_multiplier = true;
  }
  if (family.reads_multipliers) ReadMultipliers(json, config);
  if (family.logit_scale > 0) {
    c.logit_multiplier = static_cast<float>(PositiveOr0(json, "logit_scale", family.logit_scale));
    if (c.logit_multiplier == 0) {
      Fail(ErrorCode::kCorruptFile, "{}: logit_scale is null, not a positive number", json.where());
    }
  }
  c.query_pre_attn_scalar = static_cast<double>(c.head_dim);
  if (family.reads_query_scale) {
    constexpr const char* kKey = "query_pre_attn_scalar";
    c.query_pre_attn_scalar = PositiveOr0(json, kKey, family.query_pre_attn_scalar);
    if (c.query_pre_attn_scalar == 0) {
      Fail(ErrorCode::kCorruptFile, "{}: {} is null, not a positive number", json.where(), kKey);
    }
  }
  const auto cap = [&](bool reads, const char* key, double by_default) {
    return reads ? static_cast<float>(PositiveOr0(json, key, by_default)) : 0;
  };
  c.attn_logit_softcapping =
      cap(family.caps_scores, "attn_logit_softcapping", family.attn_logit_softcapping);
  c.final_logit_softcapping =
      cap(family.caps_logits, "final_logit_softcapping", family.final_logit_softcapping);
}

void RefuseUnsupported(const JsonFields& json) {
  if (json.Get<bool>("use_bidirectional_attention", false)) {
    Fail(ErrorCode::kUnsupported,
         "{}: use_bidirectional_attention is true: a model that sees later tokens cannot be "
         "trained or run here",
         json.where());
  }
  // transformers takes null for false here.
  if (json.json().contains("is_causal") && json.At("is_causal") != true) {
    Fail(ErrorCode::kUnsupported,
         "{}: is_causal is {}: a model that sees later tokens cannot be trained or run here",
         json.where(), json.At("is_causal").dump());
  }
  if (json.Has("per_layer_config") && !json.At("per_layer_config").empty()) {
    Fail(ErrorCode::kUnsupported,
         "{}: per_layer_config is not supported: layers of different shapes", json.where());
  }
  if (json.Has("quantization")) {
    Fail(ErrorCode::kUnsupported,
         "{}: has a quantization (of mlx); take the unquantised model, or a GGUF file of it",
         json.where());
  }
}

// Qwen3MoeConfig and MixtralConfig have one count under two names.
int64_t NumExperts(const JsonFields& json, const Family& family) {
  constexpr const char *kOwn = "num_experts", *kLocal = "num_local_experts";
  const int64_t count = json.Size(json.Has(kLocal) ? kLocal : kOwn, family.num_experts);
  if (json.Has(kOwn) && json.Size(kOwn) != count) {
    Fail(ErrorCode::kCorruptFile, "{}: num_experts is {}, but num_local_experts {}", json.where(),
         json.Size(kOwn), count);
  }
  return count;
}

// Keys and defaults of Qwen2MoeConfig and Qwen3MoeConfig; and of MixtralConfig and OlmoeConfig,
// whose experts all layers have and whose intermediate_size is theirs.
void ReadExperts(const JsonFields& json, const Family& family, ModelConfig* config) {
  if (family.experts == nullptr) return;
  const bool everywhere = family.moe_intermediate_size == 0;
  config->expert_names = family.experts;
  config->num_experts = NumExperts(json, family);
  config->num_experts_per_tok = json.Size("num_experts_per_tok", family.num_experts_per_tok);
  config->moe_intermediate_size =
      everywhere ? config->intermediate_size
                 : json.Size("moe_intermediate_size", family.moe_intermediate_size);
  if (family.shared_expert_intermediate_size > 0) {
    config->shared_expert_intermediate_size =
        json.Size("shared_expert_intermediate_size", family.shared_expert_intermediate_size);
  }
  config->norm_topk_prob = family.norms_topk_prob || json.Get<bool>("norm_topk_prob", false);
  if (config->num_experts_per_tok > config->num_experts) {
    Fail(ErrorCode::kCorruptFile, "{}: num_experts_per_tok is {}, but there are {} experts",
         json.where(), config->num_experts_per_tok, config->num_experts);
  }
  if (everywhere) return;
  config->decoder_sparse_step = json.Size("decoder_sparse_step", 1);
  std::vector<int64_t>& dense = config->mlp_only_layers;
  dense = json.Get<std::vector<int64_t>>("mlp_only_layers", {});
  std::sort(dense.begin(), dense.end());
  dense.erase(std::unique(dense.begin(), dense.end()), dense.end());
  if (!dense.empty() && (dense.front() < 0 || dense.back() >= config->num_hidden_layers)) {
    Fail(ErrorCode::kCorruptFile, "{}: mlp_only_layers names layers beyond the {} that there are",
         json.where(), config->num_hidden_layers);
  }
}

void CheckShapes(const JsonFields& json, const ModelConfig& c) {
  const std::string& where = json.where();
  if (c.num_attention_heads % c.num_key_value_heads != 0) {
    Fail(ErrorCode::kCorruptFile,
         "{}: num_attention_heads {} is not a multiple of num_key_value_heads {}{}", where,
         c.num_attention_heads, c.num_key_value_heads,
         json.Has("num_key_value_heads") ? "" : ", the default of this model_type");
  }
  if (c.head_dim % 2 != 0) {
    Fail(ErrorCode::kUnsupported, "{}: head_dim {} is odd; rotary embedding needs pairs", where,
         c.head_dim);
  }
  if (!(c.rms_norm_eps > 0)) {
    Fail(ErrorCode::kCorruptFile, "{}: rms_norm_eps {} is not positive", where, c.rms_norm_eps);
  }
}

}  // namespace

// As Qwen3MoeDecoderLayer decides.
bool ModelConfig::has_experts(int64_t layer) const {
  return num_experts > 0 && (layer + 1) % decoder_sparse_step == 0 &&
         !std::binary_search(mlp_only_layers.begin(), mlp_only_layers.end(), layer);
}

int64_t ModelConfig::num_expert_layers() const {
  if (num_experts == 0) return 0;
  const auto excepted = std::count_if(mlp_only_layers.begin(), mlp_only_layers.end(),
                                      [&](auto l) { return (l + 1) % decoder_sparse_step == 0; });
  return num_hidden_layers / decoder_sparse_step - excepted;
}

bool ModelConfig::has_rope(int64_t layer) const {
  return no_rope_layers.empty() || no_rope_layers[static_cast<size_t>(layer)] != 0;
}

int64_t ModelConfig::window(int64_t layer) const {
  return windows.empty() ? 0 : windows[static_cast<size_t>(layer)];
}

bool ModelConfig::has_windows() const {
  return std::any_of(windows.begin(), windows.end(), [](int64_t w) { return w > 0; });
}

namespace {

int RopeOf(const ModelConfig& c, int64_t layer) {
  if (!c.has_rope(layer)) return -1;
  return c.has_local_rope() && c.window(layer) > 0 ? 1 : 0;
}

AttentionSpec AttentionOf(const ModelConfig& c, int64_t layer) {
  return {.hidden_size = c.hidden_size,
          .heads = c.num_attention_heads,
          .kv_heads = c.num_key_value_heads,
          .head_dim = c.head_dim,
          .score_scale = c.attention_multiplier > 0
                             ? c.attention_multiplier
                             : 1.0F / std::sqrt(static_cast<float>(c.query_pre_attn_scalar)),
          .softcap = c.attn_logit_softcapping,
          .qkv_bias = c.qkv_bias,
          .o_bias = c.o_bias,
          .fused_qkv = c.fused_qkv,
          .qk_norm = c.qk_norm,
          .qk_norm_whole = c.qk_norm_whole,
          .qk_norm_after_rope = c.qk_norm_after_rope,
          .norm_kind = c.norm_kind,
          .rope = RopeOf(c, layer),
          .query_rope = c.llama_4_scaling_beta > 0 && c.has_rope(layer) ? 1 : RopeOf(c, layer),
          .window = c.window(layer)};
}

std::vector<BlockSpec> ChannelMixersOf(const ModelConfig& c, int64_t layer) {
  if (!c.has_experts(layer)) {
    return {MlpSpec{c.hidden_size, c.intermediate_size, c.mlp_bias, c.hidden_act, c.mlp_names}};
  }
  std::vector<BlockSpec> mixers = {MoeSpec{.hidden_size = c.hidden_size,
                                           .intermediate_size = c.moe_intermediate_size,
                                           .experts = c.num_experts,
                                           .active = c.num_experts_per_tok,
                                           .norm_topk_prob = c.norm_topk_prob,
                                           .names = c.expert_names}};
  if (c.shared_expert_intermediate_size > 0) {
    mixers.push_back(SharedExpertSpec{c.hidden_size, c.shared_expert_intermediate_size});
  }
  return mixers;
}

std::vector<LayerSpec> LayersOf(const ModelConfig& c) {
  std::vector<LayerSpec> layers;
  for (int64_t l = 0; l < c.num_hidden_layers; ++l) {
    if (c.sandwich_norms) {
      const SandwichNames& names = c.sandwich_names;
      const char* const before_mlp = c.pre_norms ? names.before_mlp : "";
      layers.push_back(
          {{{c.pre_norms ? "input_layernorm" : "", {AttentionOf(c, l)}, names.after_attention},
            {before_mlp, ChannelMixersOf(c, l), names.after_mlp}}});
    } else if (c.parallel_branches) {
      std::vector<BlockSpec> branches = {AttentionOf(c, l)};
      for (BlockSpec& mixer : ChannelMixersOf(c, l)) branches.push_back(std::move(mixer));
      layers.push_back({{{"input_layernorm", std::move(branches)}}});
    } else {
      const float m = c.residual_multiplier;
      layers.push_back({{{"input_layernorm", {AttentionOf(c, l)}, "", m},
                         {"post_attention_layernorm", ChannelMixersOf(c, l), "", m}}});
    }
  }
  return layers;
}

// A size whose default is 0 must be there.
int64_t SizeOr(const JsonFields& fields, const char* key, int64_t by_default) {
  return by_default == 0 ? fields.Size(key) : fields.Size(key, by_default);
}

// Bounds the memory of their specs, before any weight shows that they do not exist.
constexpr int64_t kMaxLayers = 1 << 14;

// Sizes and switches, with the family's defaults.
void ReadShape(const JsonFields& fields, const Family& family, ModelConfig* config) {
  ModelConfig& c = *config;
  c.hidden_size = SizeOr(fields, "hidden_size", family.hidden_size);
  c.intermediate_size = SizeOr(fields, family.intermediate_size_key, family.intermediate_size);
  c.num_hidden_layers =
      family.num_hidden_layers == 0
          ? fields.Int("num_hidden_layers", 1, kMaxLayers)
          : fields.Int("num_hidden_layers", 1, kMaxLayers, family.num_hidden_layers);
  c.vocab_size = SizeOr(fields, "vocab_size", family.vocab_size);
  c.num_attention_heads = SizeOr(fields, "num_attention_heads", family.num_attention_heads);
  const bool all_heads =
      family.num_key_value_heads == 0 || fields.json().contains("num_key_value_heads");
  c.num_key_value_heads = fields.Size(
      "num_key_value_heads", all_heads ? c.num_attention_heads : family.num_key_value_heads);
  const bool divided = family.head_dim == 0 || fields.json().contains("head_dim");
  c.head_dim =
      fields.Size("head_dim", divided ? c.hidden_size / c.num_attention_heads : family.head_dim);
  c.max_position_embeddings =
      fields.Size("max_position_embeddings", family.max_position_embeddings);
  c.rms_norm_eps = fields.Get<float>(family.norm_eps_key, family.rms_norm_eps);
  c.tie_word_embeddings = fields.Get<bool>("tie_word_embeddings", family.tie_word_embeddings);
  const bool bias =
      family.reads_attention_bias && fields.Get<bool>("attention_bias", family.attention_bias);
  c.qkv_bias =
      bias || (family.qkv_bias && (!family.reads_qkv_bias || fields.Get<bool>("qkv_bias", true)));
  c.o_bias = family.reads_attention_out_bias ? fields.Get<bool>("attention_out_bias", false) : bias;
  c.mlp_bias = family.reads_mlp_bias && fields.Get<bool>("mlp_bias", false);
  const auto reads = [&](const BiasKey& bias_key) {
    return bias_key.key != nullptr && fields.Get<bool>(bias_key.key, bias_key.by_default);
  };
  c.qkv_bias = c.qkv_bias || reads(family.qkv_bias_key);
  c.o_bias = c.o_bias || reads(family.o_bias_key);
  c.mlp_bias = c.mlp_bias || reads(family.mlp_bias_key);
  c.fused_qkv = family.fused_qkv;
  c.mlp_names = family.mlp;
  c.qk_norm = family.qk_norm;
  c.qk_norm_whole = family.qk_norm_whole;
  c.qk_norm_after_rope = family.qk_norm_after_rope;
  c.norm_kind = family.norm_kind;
  c.layer_norm = family.layer_norm;
  c.norm_bias = family.norm_bias;
  c.parallel_branches = family.parallel_branches;
  c.rope_interleaved = family.rope_interleaved;
  c.sandwich_names = family.sandwich;
  c.sandwich_norms = family.sandwich_norms;
  c.pre_norms = family.pre_norms;
  c.hidden_act = ReadActivation(fields, family);
}

void NoteUnknownKeys(const JsonFields& fields, const Family& family, ModelConfig* config) {
  const std::vector<std::string> unknown = UnknownKeys(fields, family, *config);
  if (unknown.empty()) return;
  config->notes.push_back(fmt::format("{}: keys of config.json that are not used for {}: {}",
                                      fields.where(), family.model_type, fmt::join(unknown, ", ")));
}

}  // namespace

const char* ActivationName(Activation activation) {
  switch (activation) {
    case Activation::kGeluTanh:
      return "gelu_pytorch_tanh";
    case Activation::kSquaredRelu:
      return "relu2";
    default:
      return "silu";
  }
}

std::vector<std::string> SupportedModelTypes() {
  std::vector<std::string> types;
  for (const Family& family : Families()) types.emplace_back(family.model_type);
  return types;
}

namespace {

ModelConfig ReadTextConfig(const Json& json, const std::string& where) {
  const JsonFields fields(json, where);
  const Family& family = FamilyOf(fields);
  ModelConfig config;
  config.model_type = family.model_type;
  config.architecture = family.architecture;
  ReadShape(fields, family, &config);
  CheckShapes(fields, config);
  RefuseUnsupported(fields);
  for (const char* key : family.refused_keys) {
    if (key == nullptr || !fields.Get<bool>(key, false)) continue;
    Fail(ErrorCode::kUnsupported, "{}: {} is true, which is not supported", where, key);
  }
  if (family.clips_qkv && fields.Has("clip_qkv")) {
    Fail(ErrorCode::kUnsupported, "{}: clip_qkv is not supported", where);
  }
  ReadScales(fields, family, &config);
  ReadExperts(fields, family, &config);
  ReadRope(fields, family, &config);
  ReadRopeLayers(fields, family, &config);
  ReadWindows(fields, family, &config);
  ReadRopeInWindows(fields, family, &config);
  if (family.granite_hybrid) ReadGraniteHybrid(fields, &config);
  NoteUnknownKeys(fields, family, &config);
  config.layers = LayersOf(config);
  return config;
}

// text_config with what the wrapper's class and top level add to it. One that is nearly empty has
// the defaults of its family.
ModelConfig ReadWrapped(const JsonFields& outer, const Wrapper& wrapper) {
  RefuseUnsupported(outer);
  Json text = outer.Object("text_config").json();
  const auto type =
      outer.Object("text_config").Get<std::string>("model_type", wrapper.text_types[0]);
  const bool known = std::any_of(wrapper.text_types.begin(), wrapper.text_types.end(),
                                 [&](const char* one) { return type == one; });
  if (!known) {
    Fail(ErrorCode::kUnsupported, "{}: a '{}' around '{}' is not supported, only around {}",
         outer.where(), wrapper.model_type, type, fmt::join(wrapper.text_types, ", "));
  }
  text["model_type"] = type;
  text["tie_word_embeddings"] = outer.Get<bool>("tie_word_embeddings", wrapper.tie_word_embeddings);
  ModelConfig config = ReadTextConfig(text, outer.where() + ": text_config");
  config.architecture = wrapper.architecture;
  config.prefix = kWrappedPrefix;
  if (const auto unknown = UnknownWrapperKeys(outer); !unknown.empty()) {
    config.notes.push_back(fmt::format("{}: keys of config.json that are not used for {}: {}",
                                       outer.where(), wrapper.model_type,
                                       fmt::join(unknown, ", ")));
  }
  return config;
}

}  // namespace

ModelConfig ReadModelConfig(const Json& json, const std::string& where) {
  const JsonFields fields(json, where);
  if (IsWrapper(json)) {
    const auto type = fields.Need<std::string>("model_type");
    for (const Wrapper& wrapper : Wrappers()) {
      if (type == wrapper.model_type) return ReadWrapped(fields, wrapper);
    }
  }
  return ReadTextConfig(json, where);
}

}  // namespace lorikeet
