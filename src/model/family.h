// A `Family` is what the modelling code and the configuration class of a model family decide
// without config.json: a row of the table in family.cc. Nothing below config.cc reads it.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "model/layer_spec.h"

namespace lorikeet {

// Layers that have the window of `sliding_window`, where `layer_types` does not say it.
enum class WindowRule : uint8_t {
  kNone,                      // the family has no windows
  kAllLayers,                 //
  kFromMaxWindowLayers,       // layers from `max_window_layers` on
  kWithoutRope,               // layers whose queries and keys are not rotated
  kAllButEveryNth,            // all but every `sliding_window_pattern`-th layer
  kEvenBelowMaxWindowLayers,  // layers 0, 2, 4, ... below `max_window_layers`
};

// The key that switches biases; null: there is none.
struct BiasKey {
  const char* key = nullptr;
  bool by_default = false;
};

struct Family {
  const char* model_type;
  const char* architecture;  // class in transformers, for a config.json written here
  bool qkv_bias = false;     // always there, or by `qkv_bias` where that is read
  bool reads_qkv_bias = false;
  bool reads_attention_bias = false;               // `attention_bias` switches q, k, v and o
  bool reads_attention_out_bias = false;           // `attention_out_bias` switches o instead
  bool reads_mlp_bias = false;                     // `mlp_bias` switches gate, up and down
  BiasKey qkv_bias_key, o_bias_key, mlp_bias_key;  // other keys than these
  bool qk_norm = false;
  bool qk_norm_whole = false;  // one norm of all heads together
  bool qk_norm_after_rope = false;
  bool fused_qkv = false;  // AttentionSpec::fused_qkv
  MlpNames mlp = {};
  bool reads_no_rope_layers = false;     // `no_rope_layers`: layers without rotation
  const ExpertNames* experts = nullptr;  // null: dense
  bool norms_topk_prob = false;          // whatever `norm_topk_prob` says
  WindowRule window = WindowRule::kNone;
  bool reads_use_sliding_window = false;  // without it there is no window
  bool reads_layer_types = false;
  bool reads_window_pattern = false;  // `sliding_window_pattern`
  NormKind norm_kind = NormKind::kRms;
  bool layer_norm = false, norm_bias = false;  // Norm::centred, Norm::biased
  const char* norm_eps_key = "rms_norm_eps";
  bool sandwich_norms = false;  // norms after attention and after the MLP too
  bool pre_norms = true;        // false: no norms before them
  SandwichNames sandwich = {};
  bool parallel_branches = false;     // attention and MLP read one norm
  bool scales_embedding = false;      // by the root of hidden_size, rounded to the compute dtype
  bool rope_in_windows_only = false;  // layers with a window alone have rope, if there is a window
  bool rope_by_layer_type = false;    // one rope of layers with a window, one of those without
  bool longrope = false;              // the only kind of scaling; its older names are su and yarn
  bool reads_partial_rotary_factor = false;
  bool rope_interleaved = false;                 // pairs of neighbours
  bool reads_rope_alpha = false;                 // `alpha` of the rope block stretches theta
  bool reads_query_temperature = false;          // `llama_4_scaling_beta` of the rope block
  bool reads_query_scale = false;                // `query_pre_attn_scalar`
  bool clips_qkv = false;                        // by `clip_qkv`, which is refused
  bool caps_scores = false;                      // `attn_logit_softcapping`
  bool caps_logits = false;                      // `final_logit_softcapping`
  bool reads_multipliers = false;                // `embedding_multiplier` and the others of Granite
  std::array<const char*, 2> refused_keys = {};  // refused if true
  bool granite_hybrid = false;  // layers may be Mamba2 or have experts, which is refused
  const char* intermediate_size_key = "intermediate_size";
  const char* activation_key = "hidden_act";
  bool gelu_is_tanh = false;  // "gelu" means gelu_pytorch_tanh

  // Defaults of the configuration class, which published files leave out. 0: the key must be there.
  int64_t hidden_size = 0, intermediate_size = 0, num_hidden_layers = 0, vocab_size = 0;
  int64_t num_attention_heads = 0;
  const char* activation = "silu";
  int64_t num_key_value_heads = 0;  // 0: as many as query heads, and so for null
  int64_t head_dim = 0;             // 0: hidden_size / num_attention_heads
  int64_t max_position_embeddings = 2048;
  int64_t original_max_position_embeddings = 0;  // 0: max_position_embeddings
  float rms_norm_eps = 1e-6F;
  double rope_theta = 1e4;
  double partial_rotary_factor = 1;
  double logit_scale = 0;                 // default of `logit_scale`; 0: it is not read
  const char* rope_parameters = nullptr;  // JSON, for a file without a rope block
  int64_t sliding_window = 0;             // 0: none
  int64_t max_window_layers = 28;
  int64_t sliding_window_pattern = 0;
  double rope_local_base_freq = 0;
  double query_pre_attn_scalar = 0;
  double attn_logit_softcapping = 0, final_logit_softcapping = 0;  // 0: none
  bool tie_word_embeddings = false;
  bool attention_bias = false;
  int64_t num_experts = 0, num_experts_per_tok = 0;
  int64_t moe_intermediate_size = 0;            // 0: experts have intermediate_size
  int64_t shared_expert_intermediate_size = 0;  // 0: there is no shared expert
};

// A model type whose language model is a part of it, in the `text_config` of its config.json.
struct Wrapper {
  const char* model_type;
  const char* architecture;
  std::vector<const char*> text_types;  // families of text_config; the first is the default
  bool tie_word_embeddings = true;      // the default of its configuration class
};

std::span<const Family> Families();
std::span<const Wrapper> Wrappers();

// The row of a model_type; null if there is none.
const Family* FindFamily(const std::string& model_type);

}  // namespace lorikeet
