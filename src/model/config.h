// A `ModelConfig` is the architecture as data. Field names are those of config.json. A model family
// is a row in family.cc that sets these switches; there are no subclasses.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/json.h"
#include "kernels/rope.h"
#include "model/layer_spec.h"

namespace lorikeet {

struct ModelConfig {
  std::string model_type;         // llama, mistral, ...
  std::string architecture;       // LlamaForCausalLM, ...
  std::string prefix = "model.";  // begins the names of modules (checkpoint/text_names.h)
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_hidden_layers = 0;
  int64_t vocab_size = 0;
  int64_t num_attention_heads = 0;
  int64_t num_key_value_heads = 0;
  int64_t head_dim = 0;
  int64_t max_position_embeddings = 0;       // with longrope, the length of its short list
  int64_t long_max_position_embeddings = 0;  // with longrope, that of its long list
  float rms_norm_eps = 1e-6F;
  double rope_theta = 1e4;
  RopeScaling rope_scaling;
  int64_t rotary_dim = 0;         // rotated elements of a head, the first ones: all, or a part
  bool rope_interleaved = false;  // ernie4_5: pairs of neighbours, HeadRope::interleaved
  // gemma3: rope of the layers with a window, where it is another; theta 0: it is the same.
  double rope_local_base_freq = 0;
  RopeScaling local_rope_scaling;
  // ministral3: a query at position p is multiplied by 1 + beta ln(1 + floor(p / original length)).
  double llama_4_scaling_beta = 0;
  std::vector<int64_t>
      no_rope_layers;  // smollm3, per layer: 0 is one without rope; empty: all have
  // Per layer, number of keys that a query sees (AttentionSpec); 0: all before it; empty: all 0.
  std::vector<int64_t> windows;
  bool tie_word_embeddings = false;
  bool qkv_bias = false;  // qwen2; llama and qwen3 with attention_bias
  bool o_bias = false;    // llama and qwen3 with attention_bias
  bool mlp_bias = false;
  bool fused_qkv = false;  // phi3: AttentionSpec::fused_qkv
  MlpNames mlp_names;
  bool qk_norm = false;             // qwen3: RMS norm of every head's query and key
  bool qk_norm_whole = false;       // olmo2: of all heads of a token together
  bool qk_norm_after_rope = false;  // hunyuan_v1_dense
  NormKind norm_kind = NormKind::kRms;
  bool layer_norm = false;         // starcoder2: LayerNorm instead, Norm::centred
  bool norm_bias = false;          // starcoder2
  bool parallel_branches = false;  // cohere2: x + attention(norm x) + MLP(norm x)
  SandwichNames sandwich_names;
  bool sandwich_norms = false;  // gemma2: norms of the branches' outputs too
  bool pre_norms = true;        // olmo2: only these; the branches are applied to the residual
  Activation hidden_act = Activation::kSilu;
  double embedding_multiplier = 1;           // gemma: the root of hidden_size
  bool rounds_embedding_multiplier = false;  // to the compute dtype
  float residual_multiplier = 1;             // granite: factor of what each branch adds
  float attention_multiplier = 0;            // granite: factor of the scores; 0: as below
  float logit_multiplier = 1;                // granite: 1 / logits_scaling
  double query_pre_attn_scalar = 0;   // scores are divided by its root; in most families head_dim
  float attn_logit_softcapping = 0;   // gemma2: AttentionSpec::softcap; 0: none
  float final_logit_softcapping = 0;  // gemma2: the same of the logits

  // Mixtures of experts; num_experts is 0 in dense models.
  int64_t num_experts = 0;            // E; mixtral calls it num_local_experts
  int64_t num_experts_per_tok = 0;    // k, active per token
  int64_t moe_intermediate_size = 0;  // F of an expert; mixtral calls it intermediate_size
  int64_t shared_expert_intermediate_size = 0;  // qwen2_moe: F of the shared expert; 0: none
  bool norm_topk_prob = false;                  // the k probabilities are divided by their sum
  int64_t decoder_sparse_step = 1;              // every n-th layer has experts, the others one MLP
  std::vector<int64_t> mlp_only_layers;         // further layers without experts, ascending
  const ExpertNames* expert_names = nullptr;    // null in dense models

  std::vector<LayerSpec> layers;   // the network is built from it; computed from the above
  std::vector<std::string> notes;  // one line each, for the user: keys that are not used

  std::string EmbeddingName() const { return prefix + "embed_tokens.weight"; }
  int64_t group() const { return num_attention_heads / num_key_value_heads; }  // G
  int64_t q_size() const { return num_attention_heads * head_dim; }            // H * Dh
  int64_t kv_size() const { return num_key_value_heads * head_dim; }           // K * Dh
  bool has_experts(int64_t layer) const;
  int64_t num_expert_layers() const;
  bool has_rope(int64_t layer) const;
  bool has_local_rope() const { return rope_local_base_freq > 0; }
  int64_t window(int64_t layer) const;
  bool has_windows() const;
};

// The config.json of a model, or of a wrapper (checkpoint/text_names.h), whose text_config is read.
// `where` names the source in errors. Throws Error for an unknown family, a missing or impossible
// value, or a switch that is not supported (other activations, kinds of rope, ...). Keys are read
// as transformers reads them, with the defaults of the family's configuration class.
ModelConfig ReadModelConfig(const Json& config, const std::string& where);

std::vector<std::string> SupportedModelTypes();

const char* ActivationName(Activation activation);  // in config.json

}  // namespace lorikeet
