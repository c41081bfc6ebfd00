#include "model/gguf_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <variant>

#include "checkpoint/gguf_metadata.h"
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
  void Flags(const char* name, std::vector<bool> values) { Add(name, std::move(values)); }

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

// llama.cpp's own factor of the attention is that of YaRN's paper, or the quotient of the factors
// by an mscale of 1 and by mscale_all_dim; attn_factor multiplies it.
void AddYarn(const ModelConfig& config, const GgufArchitecture& architecture, Keys* keys) {
  const RopeScaling& scaling = config.rope_scaling;
  keys->Text("rope.scaling.type", "yarn");
  keys->Number("rope.scaling.factor", scaling.factor);
  keys->Size(kGgufOriginalContext, scaling.original_max_position_embeddings);
  if (architecture.yarn_parameters) {
    keys->Number("rope.scaling.yarn_beta_fast", scaling.beta_fast);
    keys->Number("rope.scaling.yarn_beta_slow", scaling.beta_slow);
    const bool quotient = !scaling.attention_factor && scaling.mscale == 1;
    if (quotient && scaling.mscale_all_dim.value_or(0) > 0) {
      return keys->Number("rope.scaling.yarn_log_multiplier", *scaling.mscale_all_dim);
    }
  }
  const double wanted = RopeTable(config.rotary_dim, config.rope_theta, scaling).attention_factor();
  const double own = 0.1 * std::log(scaling.factor) + 1;
  if (std::abs(wanted / own - 1) > 1e-7) keys->Number("rope.scaling.attn_factor", wanted / own);
}

std::vector<float> AsFloats(const std::vector<double>& numbers) {
  return {numbers.begin(), numbers.end()};
}

void AddLongrope(const ModelConfig& config, Keys* keys, GgufConfig* out) {
  const RopeScaling& scaling = config.rope_scaling;
  keys->Size(kGgufOriginalContext, scaling.original_max_position_embeddings);
  const RopeTable table(config.rotary_dim, config.rope_theta, scaling);
  keys->Number("rope.scaling.attn_factor", table.attention_factor());
  out->rope_factors = {{kGgufLongFactors, AsFloats(scaling.long_factor)},
                       {kGgufShortFactors, AsFloats(scaling.short_factor)}};
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
    AddYarn(config, architecture, keys);
  } else if (scaling.type == "longrope") {
    AddLongrope(config, keys, out);
  } else if (scaling.type == "llama3") {
    if (!architecture.rope_factors) {
      Fail(ErrorCode::kUnsupported,
           "{}: rope_scaling of type llama3 has no place in a GGUF file of architecture {}", where,
           architecture.name);
    }
    AddLlama3(scaling, keys);
    out->rope_factors = {{kGgufRopeFactors, RopeFactors(config)}};
  }
  if (config.llama_4_scaling_beta > 0) {
    keys->Number("attention.temperature_scale", config.llama_4_scaling_beta);
  }
}

constexpr const char *kWindow = "attention.sliding_window",
                     *kPattern = "attention.sliding_window_pattern";

// n if all layers but every n-th have a window; more than there are layers if all have one.
int64_t PatternOf(const ModelConfig& config) {
  for (int64_t l = 0; l < config.num_hidden_layers; ++l) {
    if (config.window(l) == 0) return l + 1;
  }
  return config.num_hidden_layers + 1;
}

void AddWindows(const ModelConfig& config, const GgufArchitecture& architecture,
                const std::string& where, Keys* keys, GgufConfig* out) {
  const int64_t layers = config.num_hidden_layers;
  int64_t window = 0;
  for (int64_t l = 0; l < layers; ++l) window = std::max(window, config.window(l));
  if (architecture.windows == GgufWindows::kNotComputed) {
    keys->Size(kWindow, window);
    if (window == 0 || window >= config.max_position_embeddings) return;
    out->notes.push_back(fmt::format(
        "{}: llama.cpp computes no sliding windows in architecture {}: it gives other logits after "
        "{} tokens",
        where, architecture.name, window));
    return;
  }
  const bool computed = architecture.windows != GgufWindows::kNone &&
                        (architecture.window_layers == 0 || architecture.window_layers == layers);
  if (window == 0 || !computed) return;
  keys->Size(kWindow, window);
  if (architecture.windows == GgufWindows::kListed) {
    std::vector<bool> in_window;
    for (int64_t l = 0; l < layers; ++l) in_window.push_back(config.window(l) > 0);
    return keys->Flags(kPattern, std::move(in_window));
  }
  const int64_t pattern = PatternOf(config);
  if (pattern != architecture.window_pattern && pattern <= layers) keys->Size(kPattern, pattern);
}

// Shapes and tensors that llama.cpp does not load.
void RefuseTensors(const ModelConfig& config, const GgufArchitecture& architecture,
                   const std::string& where) {
  const auto refuse = [&](bool has, const char* what) {
    if (!has) return;
    Fail(ErrorCode::kUnsupported, "{}: {}; llama.cpp's architecture {} does not compute that",
         where, what, architecture.name);
  };
  const bool tied = config.tie_word_embeddings;
  refuse(config.mlp_bias && !architecture.other_biases, "the MLPs have biases");
  refuse(config.o_bias && !architecture.other_biases, "o_proj has a bias");
  refuse(!(config.o_bias && config.mlp_bias) && architecture.needs_biases, "there are no biases");
  refuse(!tied && architecture.head == GgufHead::kEmbedding, "a head that is not the embedding");
  refuse(tied && architecture.head == GgufHead::kOwn, "the embedding is the head");
  refuse(architecture.full_width && config.q_size() != config.hidden_size,
         "heads that together are not as wide as hidden_size");
  refuse(!architecture.grouped && config.group() > 1,
         "fewer num_key_value_heads than num_attention_heads");
}

void AddExperts(const ModelConfig& config, const GgufArchitecture& architecture, Keys* keys) {
  if (architecture.experts == nullptr) return;
  keys->Size("expert_count", config.num_experts);
  keys->Size("expert_used_count", config.num_experts_per_tok);
  if (architecture.experts->own_size) {
    keys->Size("expert_feed_forward_length", config.moe_intermediate_size);
  }
  if (config.shared_expert_intermediate_size > 0) {
    keys->Size("expert_shared_feed_forward_length", config.shared_expert_intermediate_size);
  }
}

// The number whose inverse is `inverse`, as GraniteConfig has it.
double Inverted(float inverse) {
  const auto quotient = static_cast<float>(1.0 / inverse);
  for (const float candidate : {quotient, std::nextafter(quotient, 0.0F),
                                std::nextafter(quotient, std::numeric_limits<float>::max())}) {
    if (static_cast<float>(1 / ShortestDouble(candidate)) == inverse) return candidate;
  }
  return quotient;
}

void AddScales(const ModelConfig& config, const GgufArchitecture& architecture, Keys* keys) {
  const auto add = [&](const char* key, double value) {
    if (value != 0) keys->Number(key, value);
  };
  add("attn_logit_softcapping", config.attn_logit_softcapping);
  add("final_logit_softcapping", config.final_logit_softcapping);
  if (architecture.logit_scale) add("logit_scale", config.logit_multiplier);
  if (!architecture.multipliers) return;
  add("attention.scale", config.attention_multiplier);
  add("embedding_scale", config.embedding_multiplier);
  add("residual_scale", config.residual_multiplier);
  add("logit_scale", Inverted(config.logit_multiplier));
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

// A theta as the file holds it. Only one that is computed (`alpha` of Hunyuan) is not an f32.
double ThetaInFile(double theta) { return ShortestDouble(static_cast<float>(theta)); }

void CompareRope(const ModelConfig& a, const ModelConfig& b, const Comparison& comparison) {
  const double theta = ThetaInFile(a.rope_theta), local = ThetaInFile(a.rope_local_base_freq);
  comparison.Equal("rotated elements of a head", a.rotary_dim, b.rotary_dim);
  comparison.Equal("order of rotated pairs", a.rope_interleaved, b.rope_interleaved);
  comparison.Equal("rope_theta", theta, b.rope_theta);
  comparison.Equal("rope type", a.rope_scaling.type, b.rope_scaling.type);
  comparison.True("rope_scaling", SameRope(RopeTable(a.rotary_dim, theta, a.rope_scaling),
                                           RopeTable(b.rotary_dim, b.rope_theta, b.rope_scaling)));
  comparison.Equal("max_position_embeddings", a.long_max_position_embeddings,
                   b.long_max_position_embeddings);
  comparison.True("long_factor",
                  AsFloats(a.rope_scaling.long_factor) == AsFloats(b.rope_scaling.long_factor));
  comparison.Equal("rope_local_base_freq", local, b.rope_local_base_freq);
  if (!a.has_local_rope()) return;
  comparison.True("rope_scaling of layers with a window",
                  SameRope(RopeTable(a.rotary_dim, local, a.local_rope_scaling),
                           RopeTable(b.rotary_dim, b.rope_local_base_freq, b.local_rope_scaling)));
}

// The layers with the module names of another config's MLPs, which are no settings.
std::vector<LayerSpec> Renamed(const ModelConfig& config, const MlpNames& names) {
  std::vector<LayerSpec> layers = config.layers;
  for (LayerSpec& layer : layers) {
    for (SublayerSpec& sublayer : layer.sublayers) {
      for (BlockSpec& block : sublayer.branches) {
        auto* mlp = std::get_if<MlpSpec>(&block);
        if (mlp != nullptr && mlp->names.gated == names.gated) mlp->names = names;
      }
    }
  }
  return layers;
}

void CompareLayers(const ModelConfig& a, const ModelConfig& b, const Comparison& comparison) {
  for (int64_t l = 0; l < a.num_hidden_layers; ++l) {
    const std::string layer = fmt::format(" of layer {}", l);
    comparison.Equal(("sliding_window" + layer).c_str(), a.window(l), b.window(l));
    comparison.Equal(("rotation (no_rope_layers)" + layer).c_str(), a.has_rope(l), b.has_rope(l));
    comparison.Equal(("mixture of experts" + layer).c_str(), a.has_experts(l), b.has_experts(l));
  }
  comparison.True("the layers' settings", Renamed(a, b.mlp_names) == b.layers);
}

}  // namespace

GgufConfig MakeGgufConfig(const ModelConfig& config, const GgufArchitecture& architecture,
                          const std::string& where) {
  RefuseTensors(config, architecture, where);
  GgufConfig out;
  Keys keys(architecture.name, &out.metadata);
  keys.Size("vocab_size", config.vocab_size);
  keys.Size("context_length",
            std::max(config.max_position_embeddings, config.long_max_position_embeddings));
  keys.Size("embedding_length", config.hidden_size);
  keys.Size("block_count", config.num_hidden_layers);
  keys.Size("feed_forward_length", config.intermediate_size);
  keys.Size("attention.head_count", config.num_attention_heads);
  keys.Size("attention.head_count_kv", config.num_key_value_heads);
  keys.Size("attention.key_length", config.head_dim);
  keys.Size("attention.value_length", config.head_dim);
  keys.Number(GgufEpsKey(architecture), config.rms_norm_eps);
  AddRope(config, architecture, where, &keys, &out);
  AddWindows(config, architecture, where, &keys, &out);
  AddScales(config, architecture, &keys);
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
  c.Equal("residual_multiplier", a.residual_multiplier, b.residual_multiplier);
  c.Equal("attention_multiplier", a.attention_multiplier, b.attention_multiplier);
  c.Equal("query_pre_attn_scalar", a.query_pre_attn_scalar, b.query_pre_attn_scalar);
  c.Equal("attn_logit_softcapping", a.attn_logit_softcapping, b.attn_logit_softcapping);
  c.Equal("final_logit_softcapping", a.final_logit_softcapping, b.final_logit_softcapping);
  c.Equal("logits_scaling", a.logit_multiplier, b.logit_multiplier);
  c.Equal("llama_4_scaling_beta", a.llama_4_scaling_beta, b.llama_4_scaling_beta);
  c.Equal("number of experts", a.num_experts, b.num_experts);
  c.Equal("num_experts_per_tok", a.num_experts_per_tok, b.num_experts_per_tok);
  c.Equal("moe_intermediate_size", a.moe_intermediate_size, b.moe_intermediate_size);
  c.Equal("shared_expert_intermediate_size", a.shared_expert_intermediate_size,
          b.shared_expert_intermediate_size);
  c.Equal("norm_topk_prob", a.norm_topk_prob, b.norm_topk_prob);
  CompareRope(a, b, c);
  CompareLayers(a, b, c);
}

}  // namespace lorikeet
