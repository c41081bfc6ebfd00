#include "model/gguf_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "checkpoint/gguf_rope.h"
#include "core/error.h"
#include "kernels/rope.h"

namespace lorikeet {
namespace {

// Collects metadata under the prefix of an architecture.
class Keys {
 public:
  Keys(std::string prefix, GgufMetadata* metadata)
      : prefix_(std::move(prefix)), metadata_(metadata) {}
  void Size(const char* name, int64_t value) { Add(name, static_cast<uint32_t>(value)); }
  void Number(const char* name, double value) { Add(name, static_cast<float>(value)); }
  void Text(const char* name, const std::string& value) { Add(name, value); }

 private:
  void Add(const char* name, GgufValue value) {
    metadata_->emplace_back(prefix_ + "." + name, std::move(value));
  }
  std::string prefix_;
  GgufMetadata* metadata_;
};

// Divisors of the frequencies without scaling that give those with it.
std::vector<float> RopeFactors(const ModelConfig& config) {
  const RopeTable plain(config.rotary_dim, config.rope_theta, {});
  const RopeTable scaled(config.rotary_dim, config.rope_theta, config.rope_scaling);
  std::vector<float> factors;
  for (size_t i = 0; i < plain.inv_freq().size(); ++i) {
    factors.push_back(plain.inv_freq()[i] / scaled.inv_freq()[i]);
  }
  return factors;
}

// Parameters of those divisors that are not Llama 3's.
void AddLlama3(const RopeScaling& scaling, Keys* keys) {
  if (scaling.low_freq_factor != 1) keys->Number(kGgufLowFreqFactor, scaling.low_freq_factor);
  if (scaling.high_freq_factor != 4) keys->Number(kGgufHighFreqFactor, scaling.high_freq_factor);
  if (scaling.original_max_position_embeddings != 8192) {
    keys->Size(kGgufOriginalContext, scaling.original_max_position_embeddings);
  }
}

// llama.cpp's own factor of the attention is that of YaRN's paper; attn_factor multiplies it.
void AddYarn(const ModelConfig& config, Keys* keys) {
  const RopeScaling& scaling = config.rope_scaling;
  keys->Text("rope.scaling.type", "yarn");
  keys->Number("rope.scaling.factor", scaling.factor);
  keys->Size(kGgufOriginalContext, scaling.original_max_position_embeddings);
  if (scaling.beta_fast != 32) keys->Number("rope.scaling.yarn_beta_fast", scaling.beta_fast);
  if (scaling.beta_slow != 1) keys->Number("rope.scaling.yarn_beta_slow", scaling.beta_slow);
  const double wanted = RopeTable(config.rotary_dim, config.rope_theta, scaling).attention_factor();
  const double own = 0.1 * std::log(scaling.factor) + 1;
  if (std::abs(wanted / own - 1) > 1e-7) keys->Number("rope.scaling.attn_factor", wanted / own);
}

void AddRope(const ModelConfig& config, const GgufArchitecture& architecture,
             const std::string& where, Keys* keys, GgufConfig* out) {
  const RopeScaling& scaling = config.rope_scaling;
  keys->Size("rope.dimension_count", config.rotary_dim);
  keys->Number("rope.freq_base", config.rope_theta);
  if (config.has_local_rope()) keys->Number("rope.freq_base_swa", config.rope_local_base_freq);
  if (scaling.type == "linear") {
    keys->Text("rope.scaling.type", "linear");
    keys->Number("rope.scaling.factor", scaling.factor);
  } else if (scaling.type == "yarn") {
    AddYarn(config, keys);
  } else if (scaling.type == "llama3") {
    if (!architecture.rope_factors) {
      Fail(ErrorCode::kUnsupported,
           "{}: rope_scaling of type llama3 has no place in a GGUF file of architecture {}", where,
           architecture.name);
    }
    AddLlama3(scaling, keys);
    out->rope_factors = RopeFactors(config);
  }
}

// All layers but every n-th have the window.
void AddWindows(const ModelConfig& config, const GgufArchitecture& architecture, Keys* keys) {
  if (!architecture.windows || !config.has_windows()) return;
  const int64_t layers = config.num_hidden_layers;
  int64_t window = 0, pattern = layers + 1;  // n; no layer without a window: beyond them
  for (int64_t l = layers - 1; l >= 0; --l) {
    window = std::max(window, config.window(l));
    if (config.window(l) == 0) pattern = l + 1;
  }
  keys->Size("attention.sliding_window", window);
  if (config.has_local_rope() && pattern != 6 && pattern <= layers) {
    keys->Size("attention.sliding_window_pattern", pattern);
  }
}

// Tensors that llama.cpp does not load.
void RefuseTensors(const ModelConfig& config, const GgufArchitecture& architecture,
                   const std::string& where) {
  const auto refuse = [&](bool has, const char* what) {
    if (!has) return;
    Fail(ErrorCode::kUnsupported, "{}: {}, which llama.cpp's architecture {} does not have", where,
         what, architecture.name);
  };
  refuse(config.o_bias && !architecture.other_biases, "attention_bias is true: o_proj has a bias");
  refuse(config.mlp_bias && !architecture.other_biases, "mlp_bias is true: the MLPs have biases");
  refuse(!config.tie_word_embeddings && architecture.tied, "a head that is not the embedding");
}

void AddExperts(const ModelConfig& config, const GgufArchitecture& architecture, Keys* keys) {
  if (architecture.experts == nullptr) return;
  keys->Size("expert_count", config.num_experts);
  keys->Size("expert_used_count", config.num_experts_per_tok);
  if (architecture.experts->own_size) {
    keys->Size("expert_feed_forward_length", config.moe_intermediate_size);
  }
}

class Comparison {
 public:
  Comparison(const GgufArchitecture& architecture, const std::string& where)
      : architecture_(architecture), where_(where) {}
  template <class T>
  void Equal(const char* key, const T& wanted, const T& read) const {
    if (wanted == read) return;
    Fail(ErrorCode::kUnsupported,
         "{}: {} is {}, which a GGUF file of architecture {} cannot say (it means {})", where_, key,
         wanted, architecture_.name, read);
  }
  void True(const char* key, bool holds) const {
    if (holds) return;
    Fail(ErrorCode::kUnsupported, "{}: {}: a GGUF file of architecture {} cannot say it", where_,
         key, architecture_.name);
  }

 private:
  const GgufArchitecture& architecture_;
  const std::string& where_;
};

// attention_factor is a quotient in the file: equal but for its rounding.
bool SameRope(const RopeTable& a, const RopeTable& b) {
  constexpr float kRounding = 2.4e-7F;  // 2^-22
  return std::ranges::equal(a.inv_freq(), b.inv_freq()) &&
         std::abs(a.attention_factor() - b.attention_factor()) <=
             kRounding * std::abs(a.attention_factor());
}

void CompareRope(const ModelConfig& a, const ModelConfig& b, const Comparison& comparison) {
  comparison.Equal("rotated elements of a head", a.rotary_dim, b.rotary_dim);
  comparison.Equal("order of rotated pairs", a.rope_interleaved, b.rope_interleaved);
  comparison.Equal("rope_theta", a.rope_theta, b.rope_theta);
  comparison.Equal("rope type", a.rope_scaling.type, b.rope_scaling.type);
  comparison.True("rope_scaling", SameRope(RopeTable(a.rotary_dim, a.rope_theta, a.rope_scaling),
                                           RopeTable(b.rotary_dim, b.rope_theta, b.rope_scaling)));
  comparison.Equal("rope_local_base_freq", a.rope_local_base_freq, b.rope_local_base_freq);
  if (!a.has_local_rope()) return;
  comparison.True("rope_scaling of layers with a window",
                  SameRope(RopeTable(a.rotary_dim, a.rope_local_base_freq, a.local_rope_scaling),
                           RopeTable(b.rotary_dim, b.rope_local_base_freq, b.local_rope_scaling)));
}

void CompareLayers(const ModelConfig& a, const ModelConfig& b, const Comparison& comparison) {
  for (int64_t l = 0; l < a.num_hidden_layers; ++l) {
    const std::string layer = fmt::format(" of layer {}", l);
    comparison.Equal(("sliding_window" + layer).c_str(), a.window(l), b.window(l));
    comparison.Equal(("rotation (no_rope_layers)" + layer).c_str(), a.has_rope(l), b.has_rope(l));
    comparison.Equal(("mixture of experts" + layer).c_str(), a.has_experts(l), b.has_experts(l));
  }
  comparison.True("the layers' settings", a.layers == b.layers);
}

}  // namespace

GgufConfig MakeGgufConfig(const ModelConfig& config, const GgufArchitecture& architecture,
                          const std::string& where) {
  if (!architecture.written) {
    Fail(ErrorCode::kUnsupported,
         "{}: models of model_type {} are read from GGUF files, but not written to them", where,
         config.model_type);
  }
  RefuseTensors(config, architecture, where);
  GgufConfig out;
  Keys keys(architecture.name, &out.metadata);
  keys.Size("vocab_size", config.vocab_size);
  keys.Size("context_length", config.max_position_embeddings);
  keys.Size("embedding_length", config.hidden_size);
  keys.Size("block_count", config.num_hidden_layers);
  keys.Size("feed_forward_length", config.intermediate_size);
  keys.Size("attention.head_count", config.num_attention_heads);
  keys.Size("attention.head_count_kv", config.num_key_value_heads);
  keys.Size("attention.key_length", config.head_dim);
  keys.Size("attention.value_length", config.head_dim);
  keys.Number("attention.layer_norm_rms_epsilon", config.rms_norm_eps);
  AddRope(config, architecture, where, &keys, &out);
  AddWindows(config, architecture, &keys);
  if (config.attn_logit_softcapping != 0) {
    keys.Number("attn_logit_softcapping", config.attn_logit_softcapping);
  }
  if (config.final_logit_softcapping != 0) {
    keys.Number("final_logit_softcapping", config.final_logit_softcapping);
  }
  AddExperts(config, architecture, &keys);
  return out;
}

void CheckGgufConfig(const ModelConfig& a, const ModelConfig& b,
                     const GgufArchitecture& architecture, const std::string& where) {
  const Comparison c(architecture, where);
  c.Equal("hidden_size", a.hidden_size, b.hidden_size);
  c.Equal("intermediate_size", a.intermediate_size, b.intermediate_size);
  c.Equal("num_hidden_layers", a.num_hidden_layers, b.num_hidden_layers);
  c.Equal("vocab_size", a.vocab_size, b.vocab_size);
  c.Equal("num_attention_heads", a.num_attention_heads, b.num_attention_heads);
  c.Equal("num_key_value_heads", a.num_key_value_heads, b.num_key_value_heads);
  c.Equal("head_dim", a.head_dim, b.head_dim);
  c.Equal("max_position_embeddings", a.max_position_embeddings, b.max_position_embeddings);
  c.Equal("rms_norm_eps", a.rms_norm_eps, b.rms_norm_eps);
  c.Equal("tie_word_embeddings", a.tie_word_embeddings, b.tie_word_embeddings);
  c.Equal("attention_bias", a.qkv_bias, b.qkv_bias);
  c.Equal("bias of o_proj", a.o_bias, b.o_bias);
  c.Equal("mlp_bias", a.mlp_bias, b.mlp_bias);
  c.Equal("embedding_multiplier", a.embedding_multiplier, b.embedding_multiplier);
  c.True("rounding of the embedding's multiplier",
         a.rounds_embedding_multiplier == b.rounds_embedding_multiplier);
  c.Equal("query_pre_attn_scalar", a.query_pre_attn_scalar, b.query_pre_attn_scalar);
  c.Equal("attn_logit_softcapping", a.attn_logit_softcapping, b.attn_logit_softcapping);
  c.Equal("final_logit_softcapping", a.final_logit_softcapping, b.final_logit_softcapping);
  c.Equal("logits_scaling", a.logit_multiplier, b.logit_multiplier);
  c.Equal("llama_4_scaling_beta", a.llama_4_scaling_beta, b.llama_4_scaling_beta);
  c.Equal("number of experts", a.num_experts, b.num_experts);
  c.Equal("num_experts_per_tok", a.num_experts_per_tok, b.num_experts_per_tok);
  c.Equal("moe_intermediate_size", a.moe_intermediate_size, b.moe_intermediate_size);
  c.Equal("norm_topk_prob", a.norm_topk_prob, b.norm_topk_prob);
  CompareRope(a, b, c);
  CompareLayers(a, b, c);
}

}  // namespace lorikeet
