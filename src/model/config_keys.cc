// The keys of config.json that are known: read, or without influence on what is computed here.
#include <algorithm>
#include <array>
#include <string_view>

#include "model/config_parts.h"

namespace lorikeet {
namespace {

// Read for every family: by config*.cc, checkpoint/model_source and chat/bundle.
constexpr std::string_view kReadKeys[] = {
    "model_type",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "vocab_size",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "max_position_embeddings",
    "tie_word_embeddings",
    "rope_theta",
    "rope_scaling",
    "rope_parameters",
    "original_max_position_embeddings",
    "is_causal",
    "use_bidirectional_attention",
    "partial_rotary_factor",
    "per_layer_config",
    "quantization",
    "quantization_config",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "dtype",
    "torch_dtype",
};

// Names, versions, and settings of training and serving programs.
constexpr std::string_view kHarmlessKeys[] = {
    "_attn_implementation_autoset",
    "_commit_hash",
    "_flash_attn_2_enabled",
    "_name_or_path",
    "_sliding_window_pattern",
    "architectures",
    "attn_implementation",
    "auto_map",
    "chunk_size_feed_forward",
    "experts_implementation",
    "finetuning_task",
    "id2label",
    "initializer_range",
    "is_decoder",
    "is_llama_config",
    "keys_to_ignore_at_inference",
    "label2id",
    "max_sequence_length",
    "name_or_path",
    "num_labels",
    "output_attentions",
    "output_hidden_states",
    "prefix",
    "pretraining_tp",
    "problem_type",
    "return_dict",
    "router_aux_loss_coef",
    "sep_token_id",
    "task_specific_params",
    "tie_last_hidden_states",
    "tokenizer_class",
    "torchscript",
    "transformers.js_config",
    "transformers_version",
    "unk_token_id",
    "unsloth_fixed",
    "unsloth_version",
    "use_return_dict",
};

// Parameters of generation that older files keep in config.json; transformers drops them there.
constexpr std::string_view kGenerationKeys[] = {
    "bad_words_ids",
    "begin_suppress_tokens",
    "cache_implementation",
    "decoder_start_token_id",
    "diversity_penalty",
    "do_sample",
    "early_stopping",
    "encoder_no_repeat_ngram_size",
    "encoder_repetition_penalty",
    "epsilon_cutoff",
    "eta_cutoff",
    "exponential_decay_length_penalty",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "length_penalty",
    "max_length",
    "max_new_tokens",
    "min_length",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "num_return_sequences",
    "output_scores",
    "remove_invalid_values",
    "repetition_penalty",
    "return_dict_in_generate",
    "suppress_tokens",
    "temperature",
    "top_k",
    "top_p",
    "typical_p",
    "use_cache",
};

// Keys of another family, or of training, at the one value that changes nothing.
struct NeutralKey {
  std::string_view key;
  double value;  // false is 0
};
constexpr NeutralKey kNeutralKeys[] = {
    {"add_cross_attention", 0},
    {"attention_bias", 0},
    {"attention_dropout", 0},
    {"attention_multiplier", 0},
    {"attention_out_bias", 0},
    {"embd_pdrop", 0},
    {"embedding_multiplier", 1},
    {"full_attn_mod", 1},
    {"hidden_dropout", 0},
    {"interpolate_factor", 1},
    {"is_encoder_decoder", 0},
    {"lm_head_bias", 0},
    {"logits_scaling", 1},
    {"mlp_bias", 0},
    {"num_nextn_predict_layers", 0},
    {"output_router_logits", 0},
    {"qk_layernorm", 0},
    {"resid_pdrop", 0},
    {"residual_dropout", 0},
    {"residual_multiplier", 1},
    {"rope_interleaved", 0},
    {"router_jitter_noise", 0},
    {"tie_encoder_decoder", 0},
    {"use_bias", 0},
    {"use_mrope", 0},
    {"use_parallel_residual", 0},
    {"use_qk_norm", 0},
};

// At the top level of a wrapper: the other parts, and where their outputs stand in a text.
constexpr std::string_view kWrapperKeys[] = {
    "boi_token_id",         "boi_token_index",
    "eoi_token_id",         "eoi_token_index",
    "image_token_id",       "image_token_index",
    "mm_tokens_per_image",  "multimodal_projector_bias",
    "projector_hidden_act", "spatial_merge_size",
    "text_config",          "vision_config",
    "vision_feature_layer",
};

constexpr std::string_view kWindowKeys[] = {"sliding_window", "use_sliding_window",
                                            "max_window_layers", "layer_types"};

constexpr std::string_view kMultiplierKeys[] = {"embedding_multiplier", "residual_multiplier",
                                                "attention_multiplier", "logits_scaling"};
constexpr std::string_view kExpertKeys[] = {"num_experts", "num_local_experts",
                                            "num_experts_per_tok"};
constexpr std::string_view kQwenExpertKeys[] = {"moe_intermediate_size", "decoder_sparse_step",
                                                "mlp_only_layers"};

constexpr std::string_view kRopeKeys[] = {
    "rope_type",        "type",
    "rope_theta",       "factor",
    "low_freq_factor",  "original_max_position_embeddings",
    "beta_fast",        "beta_slow",
    "mscale",           "mscale_all_dim",
    "truncate",         "attention_factor",
    "high_freq_factor", "partial_rotary_factor",
    "finetuned",        "max_position_embeddings",
};
// Keys of one family that change nothing at the value that its code always uses.
struct FamilyKey {
  std::string_view model_type, key;
  const char* value;  // JSON
};
constexpr FamilyKey kFamilyKeys[] = {
    {"cohere2", "layer_switch", "4"},
    {"cohere2", "order_of_interleaved_layers", "\"local_attn_first\""},
    {"cohere2", "position_embedding_type", "\"rope_gptj\""},
    {"cohere2", "rotary_pct", "1.0"},
    {"cohere2", "use_embedding_sharing", "true"},
    {"cohere2", "use_gated_activation", "true"},
    {"cohere2", "use_parallel_block", "true"},
    {"cohere2", "use_parallel_embedding", "false"},
    {"starcoder2", "mlp_type", "\"default\""},
    {"starcoder2", "norm_type", "\"layer_norm\""},
};

constexpr std::string_view kLongropeKeys[] = {"long_factor", "short_factor"};

template <class List>
bool Contains(const List& list, std::string_view key) {
  return std::find(std::begin(list), std::end(list), key) != std::end(list);
}

bool IsOfFamily(const Family& family, std::string_view key, const Json& value) {
  return std::any_of(std::begin(kFamilyKeys), std::end(kFamilyKeys), [&](const FamilyKey& known) {
    return known.model_type == family.model_type && known.key == key &&
           value == Json::parse(known.value);
  });
}

bool IsNeutral(std::string_view key, const Json& value) {
  const auto* neutral = std::find_if(std::begin(kNeutralKeys), std::end(kNeutralKeys),
                                     [&](const NeutralKey& n) { return n.key == key; });
  if (neutral == std::end(kNeutralKeys)) return false;
  if (value.is_boolean()) return value.get<bool>() == (neutral->value != 0);
  return value.is_number() && value.get<double>() == neutral->value;
}

// Keys of windows say nothing if they leave every layer without one, as is computed then.
bool SaysNoWindows(const Json& config) {
  const auto types = config.find("layer_types");
  if (types != config.end() && types->is_array()) {
    const auto full = [](const Json& type) {
      return type == "full_attention" || type == "attention";
    };
    if (!std::all_of(types->begin(), types->end(), full)) return false;
    return true;
  }
  const auto window = config.find("sliding_window"), used = config.find("use_sliding_window");
  return window == config.end() || window->is_null() || (used != config.end() && *used == false);
}

bool ReadsWindowKey(const Family& family, std::string_view key) {
  if (key == "sliding_window") return family.window != WindowRule::kNone;
  if (key == "use_sliding_window") return family.reads_use_sliding_window;
  if (key == "max_window_layers") {
    return family.window == WindowRule::kFromMaxWindowLayers ||
           family.window == WindowRule::kEvenBelowMaxWindowLayers;
  }
  return family.reads_layer_types;
}

// Sizes of parts that the dense models do not have are not used.
bool IsOfGraniteHybrid(std::string_view key) {
  return key.starts_with("mamba_") || key == "time_step_limit" || key == "num_local_experts" ||
         key == "num_experts_per_tok" || key == "shared_intermediate_size" ||
         key == "position_embedding_type" || key == "layers_block_type" || key == "layer_types";
}

bool ReadsKey(const Family& family, std::string_view key) {
  if (Contains(kReadKeys, key)) return true;
  if (Contains(kWindowKeys, key)) return ReadsWindowKey(family, key);
  for (const BiasKey& bias : {family.qkv_bias_key, family.o_bias_key, family.mlp_bias_key}) {
    if (bias.key != nullptr && key == bias.key) return true;
  }
  if (key == family.norm_eps_key) return true;
  if (key == "logit_scale") return family.logit_scale > 0;
  if (key == "attention_bias") return family.reads_attention_bias;
  if (family.granite_hybrid && IsOfGraniteHybrid(key)) return true;
  if (key == "clip_qkv") return family.clips_qkv;
  if (key == "qkv_bias") return family.reads_qkv_bias;
  if (key == "attention_out_bias") return family.reads_attention_out_bias;
  if (key == "mlp_bias") return family.reads_mlp_bias;
  if (key == family.activation_key) return true;
  if (Contains(kMultiplierKeys, key)) return family.reads_multipliers;
  if (key == "query_pre_attn_scalar") return family.reads_query_scale;
  if (key == "attn_logit_softcapping") return family.caps_scores;
  if (key == "final_logit_softcapping") return family.caps_logits;
  if (key == "sliding_window_pattern") return family.reads_window_pattern;
  if (key == "rope_local_base_freq") {
    return family.rope_by_layer_type && family.rope_local_base_freq != family.rope_theta;
  }
  if (key == "no_rope_layers" || key == "no_rope_layer_interval")
    return family.reads_no_rope_layers;
  if (family.experts == nullptr) return false;
  if (key == "norm_topk_prob") return !family.norms_topk_prob;
  if (key == "shared_expert_intermediate_size") return family.shared_expert_intermediate_size > 0;
  const bool own_size = family.moe_intermediate_size > 0;
  return Contains(kExpertKeys, key) || (own_size && Contains(kQwenExpertKeys, key));
}

// The activation under the name of the key that another family reads.
bool NamesTheActivation(std::string_view key, const Json& value, const ModelConfig& config) {
  if (key != "hidden_act" && key != "hidden_activation") return false;
  return value == ActivationName(config.hidden_act);
}

void AddUnknownRopeKeys(const JsonFields& rope, const Family& family, const std::string& name,
                        std::vector<std::string>* unknown) {
  for (const auto& [key, value] : rope.json().items()) {
    const bool read = Contains(kRopeKeys, key) || (family.reads_rope_alpha && key == "alpha") ||
                      (family.reads_query_temperature && key == "llama_4_scaling_beta") ||
                      (family.longrope && Contains(kLongropeKeys, key));
    if (!value.is_null() && !read) unknown->push_back(name + "." + key);
  }
}

}  // namespace

std::vector<std::string> UnknownKeys(const JsonFields& json, const Family& family,
                                     const ModelConfig& config) {
  std::vector<std::string> unknown;
  const bool no_windows = !config.has_windows() && SaysNoWindows(json.json());
  for (const auto& [key, value] : json.json().items()) {
    const bool known =
        value.is_null() || ReadsKey(family, key) || Contains(kHarmlessKeys, key) ||
        Contains(kGenerationKeys, key) || IsNeutral(key, value) || IsOfFamily(family, key, value) ||
        (no_windows && Contains(kWindowKeys, key)) || NamesTheActivation(key, value, config);
    if (!known) unknown.push_back(key);
  }
  AddUnknownRopeKeys(json.Object("rope_scaling"), family, "rope_scaling", &unknown);
  const JsonFields rope = json.Object("rope_parameters");
  if (!family.rope_by_layer_type) {
    AddUnknownRopeKeys(rope, family, "rope_parameters", &unknown);
    return unknown;
  }
  for (const auto& block : rope.json().items()) {
    const std::string name = "rope_parameters." + block.key();
    AddUnknownRopeKeys(rope.Object(block.key()), family, name, &unknown);
  }
  return unknown;
}

std::vector<std::string> UnknownWrapperKeys(const JsonFields& json) {
  std::vector<std::string> unknown;
  for (const auto& [key, value] : json.json().items()) {
    const bool known = value.is_null() || Contains(kReadKeys, key) || Contains(kWrapperKeys, key) ||
                       Contains(kHarmlessKeys, key) || Contains(kGenerationKeys, key) ||
                       IsNeutral(key, value);
    if (!known) unknown.push_back(key);
  }
  return unknown;
}

}  // namespace lorikeet
