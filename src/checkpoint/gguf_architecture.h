// A `GgufArchitecture` is a row of the table of llama.cpp's architectures: how a model is named and
// stored in a GGUF file. Reading (gguf_model.h) and writing follow the same row.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lorikeet {

struct GgufName {
  const char* gguf;  // "attn_q.weight"
  const char* hf;    // "self_attn.q_proj.weight"
};

// Hugging Face's names of a mixture of experts in a layer.
struct GgufExperts {
  const char* module;  // "mlp": the router is "mlp.gate", an expert "mlp.experts.E"
  // Their size is expert_feed_forward_length and feed_forward_length is that of dense layers; else
  // it is feed_forward_length.
  bool own_size;
  GgufName names[3];  // stacked tensors (experts, out, in) and an expert's matrices
};

// The layers whose window llama.cpp's code computes.
enum class GgufWindows : uint8_t {
  kNone,
  kEveryNth,     // all but every n-th
  kListed,       // those that a list in the file names
  kNotComputed,  // none, though files name the window of all layers
};

// The matrix of the logits that llama.cpp's code loads.
enum class GgufHead : uint8_t { kAny, kEmbedding, kOwn };

struct GgufArchitecture {
  const char* name;      // general.architecture
  const char* hf_type;   // model_type that is read from it
  const char* hf_class;  // class in transformers of that model_type
  // Other model_types that are written as this row. What they add to hf_type is not used by every
  // model; one that uses it is refused.
  std::array<const char*, 2> also_written{};
  bool interleaved = false;              // rows of q and k are permuted
  const GgufExperts* experts = nullptr;  // not null: every MLP is a mixture of experts
  bool windowed = false;                 // the row of files with a window, of two rows of one name
  bool norms_plus_one = false;           // weights of norms are stored as 1 + w
  bool sandwich = false;                 // there are norms after attention and MLP
  // Names in a layer that mean another module here than in most architectures, or are only here.
  std::span<const GgufName> names{};
  bool partial_rope = false;  // only a part of a head may be rotated
  int gemma_27b_layers = 0;   // layers of the size whose scores are scaled by hidden size / heads
  double rope_theta = 10000;  // default for files without one
  const char* norm_eps_key = "rms_norm_eps";  // in config.json; another one is of LayerNorms
  const char* bias_key = "attention_bias";    // switches biases of q, k and v; null: none does
  bool reads_mlp_bias = false;                // `mlp_bias` switches those of the MLP
  const char* activation = "silu";

  // For writing: what llama.cpp's code of the architecture has.
  bool rope_factors = false;     // "llama3" rope scaling, as a tensor of divisors
  bool yarn_parameters = false;  // the betas and mscale_all_dim of yarn
  bool multipliers = false;      // Granite's four factors
  bool logit_scale = false;      // a factor of the logits
  bool other_biases = false;     // o and the MLP may have biases
  bool needs_biases = false;     // they must have them
  bool full_width = false;  // the heads of all queries together are as wide as the hidden state
  bool grouped = true;      // heads of queries may share those of keys and values
  GgufHead head = GgufHead::kAny;
  GgufWindows windows = GgufWindows::kNone;
  int64_t window_pattern = 0;  // n of files that do not say it
  int64_t window_layers = 0;   // only models with so many layers have windows; 0: any
};

// The row of general.architecture; where dense models and mixtures share a name, or models with and
// without a window, the one that fits. Throws Error(kUnsupported) naming `where` and the supported
// architectures.
const GgufArchitecture& GgufArchitectureNamed(std::string_view name, bool experts,
                                              const std::string& where, bool windows = false);
// The row that models and adapters of a model_type are written by. Throws Error(kUnsupported)
// naming `where`.
const GgufArchitecture& GgufArchitectureOf(std::string_view model_type, const std::string& where);

// "blk.3.attn_q.weight" <-> "model.layers.3.self_attn.q_proj.weight"; for layers below `layers`.
// Empty for a name that does not occur in such a model. Not for the matrices of experts.
std::string HfNameOfGguf(const GgufArchitecture& architecture, std::string_view gguf_name,
                         int64_t layers);
std::string GgufNameOfHf(const GgufArchitecture& architecture, std::string_view hf_name);
// The tensors that hold the rows of one of Hugging Face's, in order: one, or equal parts of it, for
// which GgufNameOfHf is empty too.
std::vector<std::string> GgufNamesOfHf(const GgufArchitecture& architecture,
                                       std::string_view module_name);

// Metadata key of the epsilon of its RMS norms or LayerNorms.
const char* GgufEpsKey(const GgufArchitecture& architecture);

// A matrix of all experts of a layer: "blk.3.ffn_gate_exps.weight".
struct GgufStack {
  int64_t layer;
  const GgufName* matrix;  // of GgufExperts::names

  std::string GgufTensor() const;
  std::string HfTensor(const GgufExperts& experts, int64_t expert) const;
};
// Empty for other tensors.
std::optional<GgufStack> GgufStackNamed(const GgufExperts& experts, std::string_view gguf_name,
                                        int64_t layers);
// "model.layers.3.mlp.experts.7.up_proj.weight" -> its stack; empty for other tensors.
std::optional<GgufStack> GgufStackOfHf(const GgufExperts& experts, std::string_view hf_name);

}  // namespace lorikeet
