#include "checkpoint/gguf_architecture.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <utility>
#include <vector>

#include "checkpoint/text_names.h"
#include "core/error.h"
#include "core/text.h"

namespace lorikeet {
namespace {

constexpr GgufExperts kQwenExperts = {"mlp",
                                      true,
                                      {{"ffn_gate_exps.weight", "gate_proj.weight"},
                                       {"ffn_up_exps.weight", "up_proj.weight"},
                                       {"ffn_down_exps.weight", "down_proj.weight"}}};

constexpr GgufExperts kOlmoeExperts = {"mlp",
                                       false,
                                       {{"ffn_gate_exps.weight", "gate_proj.weight"},
                                        {"ffn_up_exps.weight", "up_proj.weight"},
                                        {"ffn_down_exps.weight", "down_proj.weight"}}};

constexpr GgufExperts kMixtralExperts = {"block_sparse_moe",
                                         false,
                                         {{"ffn_gate_exps.weight", "w1.weight"},
                                          {"ffn_up_exps.weight", "w3.weight"},
                                          {"ffn_down_exps.weight", "w2.weight"}}};

constexpr GgufName kSandwichNames[] = {
    {"post_attention_norm.weight", "post_attention_layernorm.weight"},
    {"ffn_norm.weight", "pre_feedforward_layernorm.weight"},
    {"post_ffw_norm.weight", "post_feedforward_layernorm.weight"},
};

constexpr GgufName kFusedNames[] = {
    {"attn_qkv.weight", "self_attn.qkv_proj.weight"},
    {"ffn_up.weight", "mlp.gate_up_proj.weight"},
};

constexpr GgufName kGlm4Names[] = {
    {"post_attention_norm.weight", "post_self_attn_layernorm.weight"},
    {"post_ffw_norm.weight", "post_mlp_layernorm.weight"},
    {"ffn_up.weight", "mlp.gate_up_proj.weight"},
};

constexpr GgufName kNormBiases[] = {
    {"attn_norm.bias", "input_layernorm.bias"},
    {"ffn_norm.bias", "post_attention_layernorm.bias"},
};
constexpr GgufName kStarcoder2Names[] = {
    {"attn_norm.bias", "input_layernorm.bias"}, {"ffn_norm.bias", "post_attention_layernorm.bias"},
    {"ffn_up.weight", "mlp.c_fc.weight"},       {"ffn_up.bias", "mlp.c_fc.bias"},
    {"ffn_down.weight", "mlp.c_proj.weight"},   {"ffn_down.bias", "mlp.c_proj.bias"},
};

constexpr GgufName kSharedExpertNames[] = {
    {"ffn_gate_inp_shexp.weight", "mlp.shared_expert_gate.weight"},
    {"ffn_gate_shexp.weight", "mlp.shared_expert.gate_proj.weight"},
    {"ffn_up_shexp.weight", "mlp.shared_expert.up_proj.weight"},
    {"ffn_down_shexp.weight", "mlp.shared_expert.down_proj.weight"},
};
constexpr GgufName kSeedNames[] = {
    {"post_attention_norm.weight", "post_attention_layernorm.weight"},
};
// input_linear has the rows of gate and up.
constexpr GgufName kSharedMlpNames[] = {
    {"ffn_gate.weight", "shared_mlp.input_linear.weight"},
    {"ffn_up.weight", "shared_mlp.input_linear.weight"},
    {"ffn_down.weight", "shared_mlp.output_linear.weight"},
};
constexpr GgufName kHunyuanNames[] = {
    {"attn_q_norm.weight", "self_attn.query_layernorm.weight"},
    {"attn_k_norm.weight", "self_attn.key_layernorm.weight"},
};

constexpr GgufArchitecture kArchitectures[] = {
    {.name = "llama",
     .hf_type = "llama",
     .hf_class = "LlamaForCausalLM",
     .also_written = {"mistral", "ministral"},
     .interleaved = true,
     .reads_mlp_bias = true,
     .rope_factors = true,
     .other_biases = true},
    {.name = "llama",
     .hf_type = "mixtral",
     .hf_class = "MixtralForCausalLM",
     .interleaved = true,
     .experts = &kMixtralExperts,
     .bias_key = nullptr,
     .rope_factors = true},
    {.name = "qwen2",
     .hf_type = "qwen2",
     .hf_class = "Qwen2ForCausalLM",
     .bias_key = nullptr,
     .full_width = true},
    {.name = "qwen3", .hf_type = "qwen3", .hf_class = "Qwen3ForCausalLM"},
    {.name = "qwen3moe",
     .hf_type = "qwen3_moe",
     .hf_class = "Qwen3MoeForCausalLM",
     .experts = &kQwenExperts},
    // Every 4th layer without rope: config.json's default.
    {.name = "smollm3",
     .hf_type = "smollm3",
     .hf_class = "SmolLM3ForCausalLM",
     .interleaved = true},
    // Mistral Small 3.x too, which is Ministral 3 without yarn and temperature.
    {.name = "mistral3",
     .hf_type = "ministral3",
     .hf_class = "Ministral3ForCausalLM",
     .interleaved = true,
     .bias_key = nullptr,
     .rope_factors = true,
     .yarn_parameters = true},
    {.name = "gemma",
     .hf_type = "gemma",
     .hf_class = "GemmaForCausalLM",
     .norms_plus_one = true,
     .head = GgufHead::kEmbedding},
    {.name = "gemma2",
     .hf_type = "gemma2",
     .hf_class = "Gemma2ForCausalLM",
     .norms_plus_one = true,
     .sandwich = true,
     .names = kSandwichNames,
     .gemma_27b_layers = 46,
     .head = GgufHead::kEmbedding,
     .windows = GgufWindows::kEveryNth,
     .window_pattern = 2},
    {.name = "gemma3",
     .hf_type = "gemma3_text",
     .hf_class = "Gemma3ForCausalLM",
     .norms_plus_one = true,
     .sandwich = true,
     .names = kSandwichNames,
     .gemma_27b_layers = 62,
     .rope_theta = 1e6,
     .windows = GgufWindows::kEveryNth,
     .window_pattern = 6},
    {.name = "phi3",
     .hf_type = "phi3",
     .hf_class = "Phi3ForCausalLM",
     .names = kFusedNames,
     .partial_rope = true,
     .full_width = true,
     .windows = GgufWindows::kNotComputed},
    {.name = "ernie4_5",
     .hf_type = "ernie4_5",
     .hf_class = "Ernie4_5ForCausalLM",
     .bias_key = "use_bias"},
    {.name = "glm4",
     .hf_type = "glm4",
     .hf_class = "Glm4ForCausalLM",
     .names = kGlm4Names,
     .partial_rope = true},
    {.name = "starcoder2",
     .hf_type = "starcoder2",
     .hf_class = "Starcoder2ForCausalLM",
     .names = kStarcoder2Names,
     .norm_eps_key = "norm_epsilon",
     .bias_key = "use_bias",
     .activation = "gelu_pytorch_tanh",
     .other_biases = true,
     .needs_biases = true,
     .full_width = true,
     .windows = GgufWindows::kNotComputed},
    {.name = "stablelm",
     .hf_type = "stablelm",
     .hf_class = "StableLmForCausalLM",
     .names = kNormBiases,
     .partial_rope = true,
     .norm_eps_key = "layer_norm_eps",
     .bias_key = "use_qkv_bias",
     .full_width = true,
     .head = GgufHead::kOwn},
    {.name = "cohere2",
     .hf_type = "cohere2",
     .hf_class = "Cohere2ForCausalLM",
     .norm_eps_key = "layer_norm_eps",
     .logit_scale = true,
     .full_width = true,
     .head = GgufHead::kEmbedding,
     .windows = GgufWindows::kEveryNth,
     .window_pattern = 4},
    {.name = "arcee",
     .hf_type = "arcee",
     .hf_class = "ArceeForCausalLM",
     .interleaved = true,
     .reads_mlp_bias = true,
     .activation = "relu2",
     .rope_factors = true},
    {.name = "qwen2moe",
     .hf_type = "qwen2_moe",
     .hf_class = "Qwen2MoeForCausalLM",
     .experts = &kQwenExperts,
     .names = kSharedExpertNames,
     .bias_key = "qkv_bias",
     .full_width = true,
     .head = GgufHead::kOwn},
    {.name = "olmoe",
     .hf_type = "olmoe",
     .hf_class = "OlmoeForCausalLM",
     .experts = &kOlmoeExperts,
     .full_width = true,
     .grouped = false,
     .head = GgufHead::kOwn},
    {.name = "olmo2",
     .hf_type = "olmo2",
     .hf_class = "Olmo2ForCausalLM",
     .names = kSandwichNames,
     .full_width = true,
     .head = GgufHead::kOwn},
    {.name = "olmo2",
     .hf_type = "olmo3",
     .hf_class = "Olmo3ForCausalLM",
     .windowed = true,
     .names = kSandwichNames,
     .full_width = true,
     .head = GgufHead::kOwn,
     .windows = GgufWindows::kListed},
    // Dense Granite 4, which is read as the row of Granite: the last one of a name that fits.
    {.name = "granite",
     .hf_type = "granitemoehybrid",
     .hf_class = "GraniteMoeHybridForCausalLM",
     .interleaved = true,
     .names = kSharedMlpNames,
     .rope_factors = true,
     .multipliers = true,
     .other_biases = true},
    {.name = "granite",
     .hf_type = "granite",
     .hf_class = "GraniteForCausalLM",
     .interleaved = true,
     .reads_mlp_bias = true,
     .rope_factors = true,
     .multipliers = true,
     .other_biases = true},
    {.name = "seed_oss",
     .hf_type = "seed_oss",
     .hf_class = "SeedOssForCausalLM",
     .names = kSeedNames,
     .reads_mlp_bias = true},
    {.name = "exaone4",
     .hf_type = "exaone4",
     .hf_class = "Exaone4ForCausalLM",
     .names = kSandwichNames,
     .bias_key = nullptr,
     .rope_factors = true,
     .full_width = true,
     .windows = GgufWindows::kListed,
     .window_layers = 64},
    // The converter has put alpha into the theta.
    {.name = "hunyuan-dense",
     .hf_type = "hunyuan_v1_dense",
     .hf_class = "HunYuanDenseV1ForCausalLM",
     .names = kHunyuanNames},
};

constexpr GgufName kOutside[] = {
    {"token_embd.weight", "model.embed_tokens.weight"},
    {"output_norm.weight", "model.norm.weight"},
    {"output_norm.bias", "model.norm.bias"},
    {"output.weight", "lm_head.weight"},
};
constexpr GgufName kInLayer[] = {
    {"attn_norm.weight", "input_layernorm.weight"},
    {"attn_q.weight", "self_attn.q_proj.weight"},
    {"attn_q.bias", "self_attn.q_proj.bias"},
    {"attn_k.weight", "self_attn.k_proj.weight"},
    {"attn_k.bias", "self_attn.k_proj.bias"},
    {"attn_v.weight", "self_attn.v_proj.weight"},
    {"attn_v.bias", "self_attn.v_proj.bias"},
    {"attn_output.weight", "self_attn.o_proj.weight"},
    {"attn_output.bias", "self_attn.o_proj.bias"},
    {"attn_q_norm.weight", "self_attn.q_norm.weight"},
    {"attn_k_norm.weight", "self_attn.k_norm.weight"},
    {"ffn_norm.weight", "post_attention_layernorm.weight"},
    {"ffn_gate.weight", "mlp.gate_proj.weight"},
    {"ffn_gate.bias", "mlp.gate_proj.bias"},
    {"ffn_up.weight", "mlp.up_proj.weight"},
    {"ffn_up.bias", "mlp.up_proj.bias"},
    {"ffn_down.weight", "mlp.down_proj.weight"},
    {"ffn_down.bias", "mlp.down_proj.bias"},
};
constexpr std::string_view kRouter = "ffn_gate_inp.weight", kHfLayers = "model.layers.";

[[noreturn]] void FailUnknown(std::string_view name, const std::string& where) {
  std::vector<std::string_view> names;
  for (const GgufArchitecture& row : kArchitectures) {
    if (std::ranges::find(names, row.name) == names.end()) names.emplace_back(row.name);
  }
  Fail(ErrorCode::kUnsupported, "{}: architecture {}; supported: {}", where,
       QuotedName(std::string(name)), fmt::join(names, ", "));
}

// "3.attn_q.weight" -> 3 and "attn_q.weight"; empty for other forms.
using InLayer = std::pair<int64_t, std::string_view>;
std::optional<InLayer> SplitNumber(std::string_view name) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc() || end == name.data() + name.size() || *end != '.') return std::nullopt;
  const auto digits = static_cast<size_t>(end - name.data());
  if (number < 0 || std::to_string(number).size() != digits) return std::nullopt;
  return InLayer(number, name.substr(digits + 1));
}

std::optional<InLayer> SplitLayer(std::string_view name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return std::nullopt;
  return SplitNumber(name.substr(prefix.size()));
}

std::string Router(const GgufExperts& experts) {
  return fmt::format("{}.gate.weight", experts.module);
}

}  // namespace

const GgufArchitecture& GgufArchitectureNamed(std::string_view name, bool experts,
                                              const std::string& where, bool windows) {
  const GgufArchitecture* found = nullptr;
  for (const GgufArchitecture& row : kArchitectures) {
    if (name != row.name) continue;
    const bool fits = (row.experts != nullptr) == experts && (windows || !row.windowed);
    if (found == nullptr || fits) found = &row;
  }
  if (found == nullptr) FailUnknown(name, where);
  return *found;
}

const GgufArchitecture& GgufArchitectureOf(std::string_view model_type, const std::string& where) {
  for (const GgufArchitecture& row : kArchitectures) {
    if (model_type == row.hf_type) return row;
    for (const char* other : row.also_written) {
      if (other != nullptr && model_type == other) return row;
    }
  }
  FailUnknown(model_type, where);
}

std::string HfNameOfGguf(const GgufArchitecture& architecture, std::string_view gguf_name,
                         int64_t layers) {
  for (const GgufName& row : kOutside) {
    if (gguf_name == row.gguf) return row.hf;
  }
  const auto split = SplitLayer(gguf_name, "blk.");
  if (!split || split->first >= layers) return "";
  const auto& [layer, name] = *split;
  if (architecture.experts != nullptr && name == kRouter) {
    return fmt::format("{}{}.{}", kHfLayers, layer, Router(*architecture.experts));
  }
  for (const auto& rows : {architecture.names, std::span<const GgufName>(kInLayer)}) {
    for (const GgufName& row : rows) {
      if (name == row.gguf) return fmt::format("{}{}.{}", kHfLayers, layer, row.hf);
    }
  }
  return "";
}

std::vector<std::string> GgufNamesOfHf(const GgufArchitecture& architecture,
                                       std::string_view module_name) {
  const std::string plain = WithoutWrapper(module_name);
  const std::string_view hf_name = plain;
  for (const GgufName& row : kOutside) {
    if (hf_name == row.hf) return {row.gguf};
  }
  const auto split = SplitLayer(hf_name, kHfLayers);
  if (!split) return {};
  const auto& [layer, name] = *split;
  if (architecture.experts != nullptr && name == Router(*architecture.experts)) {
    return {fmt::format("blk.{}.{}", layer, kRouter)};
  }
  std::vector<std::string> names;
  for (const auto& rows : {architecture.names, std::span<const GgufName>(kInLayer)}) {
    for (const GgufName& row : rows) {
      if (name == row.hf) names.push_back(fmt::format("blk.{}.{}", layer, row.gguf));
    }
    if (!names.empty()) break;
  }
  return names;
}

std::string GgufNameOfHf(const GgufArchitecture& architecture, std::string_view hf_name) {
  const std::vector<std::string> names = GgufNamesOfHf(architecture, hf_name);
  return names.size() == 1 ? names[0] : "";
}

const char* GgufEpsKey(const GgufArchitecture& architecture) {
  const bool rms = std::string_view(architecture.norm_eps_key) == "rms_norm_eps";
  return rms ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon";
}

std::string GgufStack::GgufTensor() const { return fmt::format("blk.{}.{}", layer, matrix->gguf); }

std::string GgufStack::HfTensor(const GgufExperts& experts, int64_t expert) const {
  return fmt::format("{}{}.{}.experts.{}.{}", kHfLayers, layer, experts.module, expert, matrix->hf);
}

std::optional<GgufStack> GgufStackNamed(const GgufExperts& experts, std::string_view gguf_name,
                                        int64_t layers) {
  const auto split = SplitLayer(gguf_name, "blk.");
  if (!split || split->first >= layers) return std::nullopt;
  for (const GgufName& row : experts.names) {
    if (split->second == row.gguf) return GgufStack{split->first, &row};
  }
  return std::nullopt;
}

std::optional<GgufStack> GgufStackOfHf(const GgufExperts& experts, std::string_view hf_name) {
  const auto split = SplitLayer(hf_name, kHfLayers);
  if (!split) return std::nullopt;
  const auto expert = SplitLayer(split->second, fmt::format("{}.experts.", experts.module));
  if (!expert) return std::nullopt;
  for (const GgufName& row : experts.names) {
    if (expert->second == row.hf) return GgufStack{split->first, &row};
  }
  return std::nullopt;
}

}  // namespace lorikeet
