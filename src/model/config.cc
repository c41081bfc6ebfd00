#include "model/config.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/json_fields.h"

namespace lorikeet {
namespace {

// A model family: the properties of its modelling code that are not in config.json.
struct Family {
  const char* model_type = nullptr;
  const char* architecture = nullptr;  // class in transformers, for a config.json written here
  bool qkv_bias = false;               // always there
  bool reads_attention_bias = false;   // `attention_bias` switches q, k, v and o
  bool qk_norm = false;
  bool reads_no_rope_layers = false;
  const ExpertNames* experts = nullptr;  // null: dense
  // What its configuration class says where config.json is silent.
  double rope_theta = 1e4;
  bool tie_word_embeddings = false;
};

constexpr ExpertNames kQwenExperts = {"mlp", "gate_proj", "up_proj", "down_proj"};
constexpr ExpertNames kMixtralExperts = {"block_sparse_moe", "w1", "w3", "w2"};

constexpr Family kFamilies[] = {
    {.model_type = "llama", .architecture = "LlamaForCausalLM", .reads_attention_bias = true},
    {.model_type = "mistral", .architecture = "MistralForCausalLM"},
    {.model_type = "qwen2", .architecture = "Qwen2ForCausalLM", .qkv_bias = true},
    {.model_type = "qwen3",
     .architecture = "Qwen3ForCausalLM",
     .reads_attention_bias = true,
     .qk_norm = true},
    {.model_type = "qwen3_moe",
     .architecture = "Qwen3MoeForCausalLM",
     .reads_attention_bias = true,
     .qk_norm = true,
     .experts = &kQwenExperts},
    {.model_type = "smollm3",
     .architecture = "SmolLM3ForCausalLM",
     .reads_attention_bias = true,
     .reads_no_rope_layers = true,
     .rope_theta = 2e6,
     .tie_word_embeddings = true},
    {.model_type = "mixtral", .architecture = "MixtralForCausalLM", .experts = &kMixtralExperts},
};

const Family& FamilyOf(const JsonFields& json) {
  const auto type = json.Need<std::string>("model_type");
  for (const Family& family : kFamilies) {
    if (type == family.model_type) return family;
  }
  Fail(ErrorCode::kUnsupported, "{}: model_type '{}' is not supported; supported: {}", json.where(),
       type, fmt::join(SupportedModelTypes(), ", "));
}

// The older spelling has rope_theta and rope_scaling, the newer one rope_parameters.
void ReadRope(const JsonFields& json, const Family& family, ModelConfig* config) {
  config->rope_theta = json.Get<double>("rope_theta", family.rope_theta);
  const char* key = json.Has("rope_parameters") ? "rope_parameters" : "rope_scaling";
  if (!json.Has(key)) return;
  const JsonFields rope = json.Object(key);
  config->rope_theta = rope.Get<double>("rope_theta", config->rope_theta);
  RopeScaling& scaling = config->rope_scaling;
  scaling.type = rope.Get<std::string>("rope_type", rope.Get<std::string>("type", "default"));
  scaling.factor = rope.Get<double>("factor", 1.0);
  scaling.original_max_position_embeddings = rope.Get<int64_t>(
      "original_max_position_embeddings",
      scaling.type == "default" ? 0 : json.Get<int64_t>("max_position_embeddings", 0));
  scaling.low_freq_factor = rope.Get<double>("low_freq_factor", 1.0);
  scaling.high_freq_factor = rope.Get<double>("high_freq_factor", 4.0);
  scaling.beta_fast = rope.Get<double>("beta_fast", 32.0);
  scaling.beta_slow = rope.Get<double>("beta_slow", 1.0);
  scaling.truncate = rope.Get<bool>("truncate", true);
  if (rope.Has("attention_factor"))
    scaling.attention_factor = rope.Need<double>("attention_factor");
  if (rope.Has("mscale")) scaling.mscale = rope.Need<double>("mscale");
  if (rope.Has("mscale_all_dim")) scaling.mscale_all_dim = rope.Need<double>("mscale_all_dim");
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

void RefuseUnsupported(const JsonFields& json, ModelConfig* config) {
  const auto activation = json.Get<std::string>("hidden_act", "silu");
  if (activation != "silu" && activation != "swish") {
    Fail(ErrorCode::kUnsupported, "{}: hidden_act '{}' is not supported, only silu", json.where(),
         activation);
  }
  if (json.Get<double>("partial_rotary_factor", 1.0) != 1.0) {
    Fail(ErrorCode::kUnsupported, "{}: partial_rotary_factor is not supported", json.where());
  }
  // A sliding window equals full attention as long as the context stays inside it.
  const bool by_default = config->model_type == "mistral" || config->model_type == "mixtral";
  const bool window = json.Get<bool>("use_sliding_window", by_default);
  if (window && json.Has("sliding_window")) {
    config->max_position_embeddings =
        std::min(config->max_position_embeddings, json.Size("sliding_window"));
  }
}

// Keys and defaults of Qwen3MoeConfig and MixtralConfig.
void ReadExperts(const JsonFields& json, const ExpertNames* names, ModelConfig* config) {
  if (names == nullptr) return;
  const bool mixtral = names == &kMixtralExperts;
  config->expert_names = names;
  const char* count = json.Has("num_local_experts") ? "num_local_experts" : "num_experts";
  config->num_experts = json.Size(count);
  config->num_experts_per_tok = json.Size("num_experts_per_tok");
  config->moe_intermediate_size =
      mixtral ? config->intermediate_size : json.Size("moe_intermediate_size");
  config->norm_topk_prob = mixtral || json.Get<bool>("norm_topk_prob", false);
  if (config->num_experts_per_tok > config->num_experts) {
    Fail(ErrorCode::kCorruptFile, "{}: num_experts_per_tok is {}, but there are {} experts",
         json.where(), config->num_experts_per_tok, config->num_experts);
  }
  if (mixtral) return;
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

void CheckShapes(const ModelConfig& c, const std::string& where) {
  if (c.num_attention_heads % c.num_key_value_heads != 0) {
    Fail(ErrorCode::kCorruptFile,
         "{}: num_attention_heads {} is not a multiple of num_key_value_heads {}", where,
         c.num_attention_heads, c.num_key_value_heads);
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

namespace {

AttentionSpec AttentionOf(const ModelConfig& c, int64_t layer) {
  return {.hidden_size = c.hidden_size,
          .heads = c.num_attention_heads,
          .kv_heads = c.num_key_value_heads,
          .head_dim = c.head_dim,
          .score_scale = 1.0F / std::sqrt(static_cast<float>(c.head_dim)),
          .qkv_bias = c.qkv_bias,
          .o_bias = c.o_bias,
          .qk_norm = c.qk_norm,
          .rope = c.has_rope(layer)};
}

BlockSpec ChannelMixerOf(const ModelConfig& c, int64_t layer) {
  if (!c.has_experts(layer)) return MlpSpec{c.hidden_size, c.intermediate_size, c.mlp_bias};
  return MoeSpec{.hidden_size = c.hidden_size,
                 .intermediate_size = c.moe_intermediate_size,
                 .experts = c.num_experts,
                 .active = c.num_experts_per_tok,
                 .norm_topk_prob = c.norm_topk_prob,
                 .names = c.expert_names};
}

std::vector<LayerSpec> LayersOf(const ModelConfig& c) {
  std::vector<LayerSpec> layers;
  for (int64_t l = 0; l < c.num_hidden_layers; ++l) {
    layers.push_back({{{"input_layernorm", {AttentionOf(c, l)}},
                       {"post_attention_layernorm", {ChannelMixerOf(c, l)}}}});
  }
  return layers;
}

}  // namespace

std::vector<std::string> SupportedModelTypes() {
  std::vector<std::string> types;
  for (const Family& family : kFamilies) types.emplace_back(family.model_type);
  return types;
}

ModelConfig ReadModelConfig(const Json& json, const std::string& where) {
  const JsonFields fields(json, where);
  const Family& family = FamilyOf(fields);
  ModelConfig config;
  config.model_type = family.model_type;
  config.architecture = family.architecture;
  config.hidden_size = fields.Size("hidden_size");
  config.intermediate_size = fields.Size("intermediate_size");
  config.num_hidden_layers = fields.Size("num_hidden_layers");
  config.vocab_size = fields.Size("vocab_size");
  config.num_attention_heads = fields.Size("num_attention_heads");
  config.num_key_value_heads = fields.Size("num_key_value_heads", config.num_attention_heads);
  config.head_dim = fields.Size("head_dim", config.hidden_size / config.num_attention_heads);
  config.max_position_embeddings = fields.Size("max_position_embeddings", 2048);
  config.rms_norm_eps = fields.Get<float>("rms_norm_eps", 1e-6F);
  config.tie_word_embeddings = fields.Get<bool>("tie_word_embeddings", family.tie_word_embeddings);
  const bool attention_bias =
      family.reads_attention_bias && fields.Get<bool>("attention_bias", false);
  config.qkv_bias = family.qkv_bias || attention_bias;
  config.o_bias = attention_bias;
  // Experts have none, nor the dense layers beside them.
  config.mlp_bias = family.experts == nullptr && fields.Get<bool>("mlp_bias", false);
  config.qk_norm = family.qk_norm;
  ReadExperts(fields, family.experts, &config);
  ReadRope(fields, family, &config);
  ReadRopeLayers(fields, family, &config);
  RefuseUnsupported(fields, &config);
  CheckShapes(config, where);
  config.layers = LayersOf(config);
  return config;
}

}  // namespace lorikeet
