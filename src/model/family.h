// A `Family` is what the modelling code and the configuration class of a model family decide
// without config.json: a row of the table in family.cc. Nothing below config.cc reads it.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "model/layer_spec.h"

namespace lorikeet {

// Layers that have the window of `sliding_window`, where `layer_types` does not say it.
enum class WindowRule : uint8_t {
  kNone,                 // the family has no windows
  kAllLayers,            //
  kFromMaxWindowLayers,  // layers from `max_window_layers` on
  kWithoutRope,          // layers whose queries and keys are not rotated
  kAllButEveryNth,       // all but every `sliding_window_pattern`-th layer
};

struct Family {
  const char* model_type;
  const char* architecture;           // class in transformers, for a config.json written here
  bool qkv_bias = false;              // always there
  bool reads_attention_bias = false;  // `attention_bias` switches q, k, v and o
  bool reads_mlp_bias = false;        // `mlp_bias` switches gate, up and down
  bool qk_norm = false;
  bool reads_no_rope_layers = false;     // `no_rope_layers`: layers without rotation
  const ExpertNames* experts = nullptr;  // null: dense
  WindowRule window = WindowRule::kNone;
  bool reads_use_sliding_window = false;  // without it there is no window
  bool reads_layer_types = false;
  bool reads_window_pattern = false;  // `sliding_window_pattern`
  NormKind norm_kind = NormKind::kRms;
  bool sandwich_norms = false;      // norms after attention and after the MLP too
  bool scales_embedding = false;    // by the root of hidden_size, rounded to the compute dtype
  bool rope_by_layer_type = false;  // one rope of layers with a window, one of those without
  bool reads_query_scale = false;   // `query_pre_attn_scalar`
  bool caps_scores = false;         // `attn_logit_softcapping`
  bool caps_logits = false;         // `final_logit_softcapping`
  const char* activation_key = "hidden_act";
  bool gelu_is_tanh = false;  // "gelu" means gelu_pytorch_tanh

  // Defaults of the configuration class, which published files leave out. 0: the key must be there.
  int64_t hidden_size = 0, intermediate_size = 0, num_hidden_layers = 0, vocab_size = 0;
  int64_t num_attention_heads = 0;
  const char* activation = "silu";
  int64_t num_key_value_heads = 0;  // 0: as many as query heads, and so for null
  int64_t head_dim = 0;             // 0: hidden_size / num_attention_heads
  int64_t max_position_embeddings = 2048;
  float rms_norm_eps = 1e-6F;
  double rope_theta = 1e4;
  int64_t sliding_window = 0;  // 0: none
  int64_t max_window_layers = 28;
  int64_t sliding_window_pattern = 0;
  double rope_local_base_freq = 0;
  double query_pre_attn_scalar = 0;
  double attn_logit_softcapping = 0, final_logit_softcapping = 0;  // 0: none
  bool tie_word_embeddings = false;
  int64_t num_experts = 0, num_experts_per_tok = 0, moe_intermediate_size = 0;
};

std::span<const Family> Families();

// The row of a model_type; null if there is none.
const Family* FindFamily(const std::string& model_type);

}  // namespace lorikeet
