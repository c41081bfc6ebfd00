#include "model/family.h"

namespace lorikeet {
namespace {

constexpr ExpertNames kQwenExperts = {"mlp", "gate_proj", "up_proj", "down_proj"};
constexpr ExpertNames kMixtralExperts = {"block_sparse_moe", "w1", "w3", "w2"};

constexpr Family kFamilies[] = {
    {.model_type = "llama",
     .architecture = "LlamaForCausalLM",
     .reads_attention_bias = true,
     .reads_mlp_bias = true},
    {.model_type = "mistral",
     .architecture = "MistralForCausalLM",
     .window = WindowRule::kAllLayers,
     .reads_layer_types = true,  // transformers then takes the class of ministral
     .num_key_value_heads = 8,
     .max_position_embeddings = 131072,
     .sliding_window = 4096},
    {.model_type = "ministral",
     .architecture = "MinistralForCausalLM",
     .window = WindowRule::kAllLayers,
     .reads_layer_types = true,
     .num_key_value_heads = 8,
     .max_position_embeddings = 131072,
     .sliding_window = 4096},
    {.model_type = "qwen2",
     .architecture = "Qwen2ForCausalLM",
     .qkv_bias = true,
     .window = WindowRule::kFromMaxWindowLayers,
     .reads_use_sliding_window = true,
     .reads_layer_types = true,
     .num_key_value_heads = 32,
     .max_position_embeddings = 32768,
     .sliding_window = 4096},
    {.model_type = "qwen3",
     .architecture = "Qwen3ForCausalLM",
     .reads_attention_bias = true,
     .qk_norm = true,
     .window = WindowRule::kFromMaxWindowLayers,
     .reads_use_sliding_window = true,
     .reads_layer_types = true,
     .num_key_value_heads = 32,
     .head_dim = 128,
     .max_position_embeddings = 32768,
     .sliding_window = 4096},
    {.model_type = "qwen3_moe",
     .architecture = "Qwen3MoeForCausalLM",
     .reads_attention_bias = true,
     .qk_norm = true,
     .experts = &kQwenExperts,
     .window = WindowRule::kAllLayers,
     .reads_use_sliding_window = true,
     .num_key_value_heads = 4,
     .max_position_embeddings = 32768,
     .sliding_window = 4096,
     .num_experts = 128,
     .num_experts_per_tok = 8,
     .moe_intermediate_size = 768},
    {.model_type = "smollm3",
     .architecture = "SmolLM3ForCausalLM",
     .reads_attention_bias = true,
     .reads_mlp_bias = true,
     .reads_no_rope_layers = true,
     .window = WindowRule::kWithoutRope,
     .reads_use_sliding_window = true,
     .reads_layer_types = true,
     .num_key_value_heads = 4,
     .max_position_embeddings = 32768,
     .rope_theta = 2e6,
     .tie_word_embeddings = true},
    {.model_type = "mixtral",
     .architecture = "MixtralForCausalLM",
     .experts = &kMixtralExperts,
     .window = WindowRule::kAllLayers,
     .num_key_value_heads = 8,
     .max_position_embeddings = 131072,
     .rms_norm_eps = 1e-5F,
     .rope_theta = 1e6,
     .num_experts = 8,
     .num_experts_per_tok = 2},
};

}  // namespace

std::span<const Family> Families() { return kFamilies; }

const Family* FindFamily(const std::string& model_type) {
  for (const Family& family : kFamilies) {
    if (model_type == family.model_type) return &family;
  }
  return nullptr;
}

}  // namespace lorikeet
