// A `LayerSpec` is the shape of one layer as plain values, computed by config.cc from config.json.
// Nothing below it depends on the model family.
#pragma once
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "kernels/rms_norm.h"

namespace lorikeet {

// Module names of experts, below "model.layers.N.".
struct ExpertNames {
  const char* block;  // "mlp": holds `gate`, the router, and experts.0, experts.1, ...
  const char *gate_proj, *up_proj, *down_proj;  // modules of an expert
};

// Grouped-query attention: H = heads query heads share K = kv_heads key-value heads.
struct AttentionSpec {
  int64_t hidden_size = 0;                        // D
  int64_t heads = 0, kv_heads = 0, head_dim = 0;  // H, K, Dh
  float score_scale = 1;                          // factor of the scores
  float softcap = 0;  // a score s becomes softcap * tanh(s / softcap); 0: it does not
  bool qkv_bias = false, o_bias = false;
  bool fused_qkv = false;      // one matrix qkv_proj with the rows of q, k and v, in this order
  bool qk_norm = false;        // RMS norm of every head's query and key, before the rotation
  bool qk_norm_whole = false;  // it is one norm of all heads of a token together
  // It is a norm of the rotated heads, called query_layernorm and key_layernorm.
  bool qk_norm_after_rope = false;
  NormKind norm_kind = NormKind::kRms;
  // Indices of the rotary tables of keys and of queries (Model::ropes); -1: they are not rotated.
  int rope = 0, query_rope = 0;
  int64_t window = 0;  // number of keys that a query sees, its own the last; 0: all up to it

  int64_t group() const { return heads / kv_heads; }  // G
  int64_t q_size() const { return heads * head_dim; }
  int64_t kv_size() const { return kv_heads * head_dim; }
  bool operator==(const AttentionSpec&) const = default;
};

enum class Activation : uint8_t { kSilu, kGeluTanh, kSquaredRelu };

// Module names of an MLP, below "model.layers.N.".
struct MlpNames {
  const char* block = "mlp";
  const char* gate = "gate_proj";  // null: `up` is one matrix with the rows of gate and of up
  const char* up = "up_proj";
  const char* down = "down_proj";
  bool gated = true;  // false: there is no gate
  bool operator==(const MlpNames&) const = default;
};

// down(activation(gate x) * up x), or without a gate down(activation(up x)).
struct MlpSpec {
  int64_t hidden_size = 0, intermediate_size = 0;  // D, F
  bool bias = false;
  Activation activation = Activation::kSilu;
  MlpNames names = {};

  bool fused() const { return names.gated && names.gate == nullptr; }
  bool has_gate_proj() const { return names.gated && names.gate != nullptr; }
  bool operator==(const MlpSpec&) const = default;
};

// A router that sends every token to `active` of `experts` MLPs.
struct MoeSpec {
  int64_t hidden_size = 0, intermediate_size = 0;  // D, F of an expert
  int64_t experts = 0, active = 0;                 // E, k
  bool norm_topk_prob = false;                     // the k probabilities are divided by their sum
  const ExpertNames* names = nullptr;
  bool operator==(const MoeSpec&) const = default;
};

// An MLP of all tokens beside the experts, with a gate of one number per token.
struct SharedExpertSpec {
  int64_t hidden_size = 0, intermediate_size = 0;  // D, F
  bool operator==(const SharedExpertSpec&) const = default;
};

using BlockSpec = std::variant<AttentionSpec, MlpSpec, MoeSpec, SharedExpertSpec>;

// Module names of norms, in layers that have them after the branches too.
struct SandwichNames {
  const char* after_attention = "post_attention_layernorm";
  const char* before_mlp = "pre_feedforward_layernorm";
  const char* after_mlp = "post_feedforward_layernorm";
};

// x += the sum of the branches, each applied to norm(x); with a norm after them, x += that norm of
// the sum.
struct SublayerSpec {
  std::string norm;  // module name below "model.layers.N."; empty: the branches are applied to x
  std::vector<BlockSpec> branches;
  std::string norm_after = {};  // module name; empty: none
  float multiplier = 1;         // factor of the sum, in a sublayer without a norm after
  bool operator==(const SublayerSpec&) const = default;
};

struct LayerSpec {
  std::vector<SublayerSpec> sublayers;  // in order
  bool operator==(const LayerSpec&) const = default;
};

}  // namespace lorikeet
