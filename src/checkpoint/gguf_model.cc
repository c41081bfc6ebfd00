#include "checkpoint/gguf_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>

#include "checkpoint/gguf_architecture.h"
#include "checkpoint/gguf_families.h"
#include "checkpoint/gguf_metadata.h"
#include "checkpoint/gguf_rope.h"
#include "core/error.h"
#include "core/text.h"

namespace lorikeet {
namespace {

const GgufArchitecture& ArchitectureOf(const GgufFile& gguf) {
  const std::string name = gguf.String("general.architecture");
  const bool experts = gguf.IntOr(name + ".expert_count", 0) > 0;
  const bool windows = gguf.IntOr(name + ".attention.sliding_window", 0) > 0;
  return GgufArchitectureNamed(name, experts, gguf.path(), windows);
}

// Refuses variants that the architecture's name allows and this program does not compute.
void RefuseVariants(const GgufFile& gguf, const Hyperparameters& hyper, int64_t head_dim,
                    const GgufArchitecture& architecture) {
  if (architecture.experts == nullptr && gguf.IntOr(hyper.Key("expert_count"), 0) > 0) {
    Fail(ErrorCode::kUnsupported,
         "{}: a mixture of experts of architecture {}; as GGUF only Mixtral, olmoe, qwen2moe and "
         "qwen3moe are supported, take the Hugging Face folder",
         gguf.path(), QuotedName(gguf.String("general.architecture")));
  }
  for (const char* key :
       {"attention.key_length", "attention.value_length", "rope.dimension_count"}) {
    const int64_t size = hyper.SizeOr(key, head_dim);
    const bool partial = architecture.partial_rope && std::string_view(key).starts_with("rope.");
    if (size != head_dim && !partial) {
      Fail(ErrorCode::kUnsupported, "{}: metadata {} is {} where heads have {}; not supported",
           gguf.path(), QuotedName(hyper.Key(key)), size, head_dim);
    }
  }
}

// The dtype to save in when the model is written out again. Quantised weights carry fewer bits than
// any of these; bf16 is what such models were trained in.
const char* TorchDType(DType dtype) {
  if (dtype == DType::kF32) return "float32";
  return dtype == DType::kF16 ? "float16" : "bfloat16";
}

// Adds the keys of Gemma, from its metadata and from constants of llama.cpp's code. Most files do
// not list the layers with a window; config.json's default pattern applies then.
void AddGemma(const GgufFile& gguf, const GgufArchitecture& architecture,
              const Hyperparameters& hyper, Json& config) {
  config.erase("hidden_act");
  config[architecture.sandwich ? "hidden_activation" : "hidden_act"] = "gelu_pytorch_tanh";
  if (!architecture.sandwich) return;
  const int64_t heads = config["num_attention_heads"], hidden = config["hidden_size"];
  const bool by_hidden_size = config["num_hidden_layers"] == architecture.gemma_27b_layers;
  config["query_pre_attn_scalar"] = by_hidden_size ? Json(hidden / heads) : config["head_dim"];
  if (hyper.Has("attention.sliding_window")) {
    config["sliding_window"] = hyper.Size("attention.sliding_window");
  }
  for (const char* key : {"attn_logit_softcapping", "final_logit_softcapping"}) {
    if (hyper.Has(key)) config[key] = hyper.Positive(key);
  }
  if (config["model_type"] != "gemma3_text") return;
  constexpr const char *kPattern = "attention.sliding_window_pattern",
                       *kTheta = "rope.freq_base_swa";
  if (hyper.Has(kTheta)) config["rope_local_base_freq"] = hyper.Positive(kTheta);
  if (!hyper.Has(kPattern)) return;
  if (gguf.IsArray(hyper.Key(kPattern))) {
    Fail(ErrorCode::kUnsupported, "{}: metadata {} is a list; only a number is supported",
         gguf.path(), QuotedName(hyper.Key(kPattern)));
  }
  config["sliding_window_pattern"] = hyper.Size(kPattern);
}

// Older files of the models for 4096 tokens do not have their window.
void AddPhi3(const GgufFile& gguf, const Hyperparameters& hyper, Json& config) {
  const int64_t layers = config["num_hidden_layers"];
  const bool short_model =
      config["max_position_embeddings"] == 4096 && (layers == 32 || layers == 40);
  const int64_t window = gguf.IntOr(hyper.Key("attention.sliding_window"), short_model ? 2047 : 0);
  config["sliding_window"] = window > 0 ? Json(window) : Json();
}

// Adds keys that only one architecture has. Files of StarCoder2 lack the model's window, and
// llama.cpp uses none.
void AddOwnKeys(const GgufFile& gguf, const Hyperparameters& hyper, Json& config) {
  const std::string type = config["model_type"];
  constexpr const char *kParallel = "use_parallel_residual", *kSections = "rope.dimension_sections";
  if (type == "phi3") AddPhi3(gguf, hyper, config);
  if (type == "granite") AddMultipliers(gguf, hyper, &config);
  if (type == "olmo3" || type == "exaone4") AddWindows(gguf, hyper, &config);
  if (type == "seed_oss") {
    config["attention_out_bias"] = static_cast<bool>(gguf.Find("blk.0.attn_output.bias"));
  }
  if (type == "starcoder2") {
    const int64_t window = gguf.IntOr(hyper.Key("attention.sliding_window"), 0);
    config["sliding_window"] = window > 0 ? Json(window) : Json();
  }
  if (type == "stablelm" && hyper.Has(kParallel)) {
    config[kParallel] = gguf.BoolOr(hyper.Key(kParallel), false);
  }
  if (type == "cohere2") {
    config["logit_scale"] = hyper.Positive("logit_scale");
    config["sliding_window"] = hyper.Size("attention.sliding_window");
    if (hyper.Has("attention.sliding_window_pattern")) {
      config["sliding_window_pattern"] = hyper.Size("attention.sliding_window_pattern");
    }
  }
  if (type == "glm4" && hyper.Has(kSections)) {
    Fail(ErrorCode::kUnsupported, "{}: metadata {}: a model of texts and images is not supported",
         gguf.path(), QuotedName(hyper.Key(kSections)));
  }
}

void AddTokenIds(const GgufFile& gguf, Json& config) {
  constexpr std::pair<const char*, const char*> kNames[] = {
      {"tokenizer.ggml.bos_token_id", "bos_token_id"},
      {"tokenizer.ggml.eos_token_id", "eos_token_id"},
      {"tokenizer.ggml.padding_token_id", "pad_token_id"}};
  for (const auto& [key, hf_key] : kNames) {
    if (gguf.Has(key)) config[hf_key] = gguf.Int(key);
  }
}

// The experts' matrices of a stacked tensor; empty for other tensors.
std::vector<GgufWeight> Unstacked(const GgufFile& gguf, const GgufExperts& names,
                                  std::string_view name, const Tensor& tensor, const Json& config) {
  const auto stack = GgufStackNamed(names, name, config["num_hidden_layers"]);
  if (!stack) return {};
  const int64_t experts =
      config[names.own_size || config.contains("num_experts") ? "num_experts"
                                                              : "num_local_experts"];
  if (tensor.rank != 3 || tensor.rows() != experts) {
    Fail(ErrorCode::kCorruptFile, "{}: {} is not a stack of {} experts' matrices", gguf.path(),
         QuotedName(name), experts);
  }
  std::vector<GgufWeight> weights;
  for (int64_t e = 0; e < experts; ++e) {
    const Tensor one = tensor.Rows(e, e + 1);
    weights.push_back(
        {stack->HfTensor(names, e), Tensor(one.data, one.dtype, {one.shape[1], one.shape[2]})});
  }
  return weights;
}

int64_t HeadsOf(std::string_view hf_name, const Json& config) {
  if (hf_name.find(".q_proj.") != std::string_view::npos) return config["num_attention_heads"];
  if (hf_name.find(".k_proj.") != std::string_view::npos) return config["num_key_value_heads"];
  return 0;
}

void CheckInterleaved(const GgufFile& gguf, const GgufWeight& weight, int64_t head_dim) {
  if (weight.tensor.rows() == weight.interleaved_heads * head_dim && head_dim % 2 == 0 &&
      !(weight.tensor.rank == 1 && IsQuantised(weight.tensor.dtype))) {
    return;
  }
  Fail(ErrorCode::kCorruptFile, "{}: {} has {} rows where the metadata says {} heads of {}",
       gguf.path(), weight.hf_name, weight.tensor.rows(), weight.interleaved_heads, head_dim);
}

}  // namespace

Json ConfigFromGguf(const GgufFile& gguf) {
  const GgufArchitecture& architecture = ArchitectureOf(gguf);
  const Hyperparameters hyper(gguf, architecture.name);
  const Tensor embedding = gguf.Find("token_embd.weight");
  if (!embedding) {
    Fail(ErrorCode::kCorruptFile, "{}: has no tensor token_embd.weight; not a whole model",
         gguf.path());
  }
  const int64_t hidden = hyper.Size("embedding_length");
  const int64_t heads = hyper.Size("attention.head_count");
  const int64_t head_dim = hyper.SizeOr("attention.key_length", hidden / heads);
  if (head_dim < 1) {
    Fail(ErrorCode::kCorruptFile, "{}: {} heads do not fit in a hidden size of {}", gguf.path(),
         heads, hidden);
  }
  RefuseVariants(gguf, hyper, head_dim, architecture);
  Json config{
      {"architectures", {architecture.hf_class}},
      {"model_type", architecture.hf_type},
      {"vocab_size", embedding.rows()},
      {"hidden_size", hidden},
      {"intermediate_size", architecture.experts != nullptr
                                ? hyper.SizeOr("feed_forward_length", hidden)  // no layer has it
                                : hyper.Size("feed_forward_length")},
      {"num_hidden_layers", hyper.Size("block_count")},
      {"num_attention_heads", heads},
      {"num_key_value_heads", hyper.SizeOr("attention.head_count_kv", heads)},
      {"head_dim", head_dim},
      {"hidden_act", architecture.activation},
      {"max_position_embeddings", hyper.Size("context_length")},
      {architecture.norm_eps_key, hyper.Positive(GgufEpsKey(architecture))},
      {"rope_theta",
       hyper.Has("rope.freq_base") ? hyper.Positive("rope.freq_base") : architecture.rope_theta},
      {"tie_word_embeddings", !gguf.Find("output.weight")},
      {"torch_dtype", TorchDType(embedding.dtype)},
  };
  if (architecture.bias_key != nullptr) {
    config[architecture.bias_key] = static_cast<bool>(gguf.Find("blk.0.attn_q.bias"));
  }
  if (architecture.reads_mlp_bias) {
    config["mlp_bias"] = static_cast<bool>(gguf.Find("blk.0.ffn_up.bias"));
  }
  if (architecture.experts != nullptr) AddExperts(gguf, hyper, &config);
  if (architecture.norms_plus_one) AddGemma(gguf, architecture, hyper, config);
  AddOwnKeys(gguf, hyper, config);
  AddTokenIds(gguf, config);
  AddRope(gguf, hyper, architecture.partial_rope, &config);
  return config;
}

std::vector<GgufWeight> WeightsFromGguf(const GgufFile& gguf, const Json& config) {
  const GgufArchitecture& architecture = ArchitectureOf(gguf);
  const bool interleaved = architecture.interleaved;
  std::vector<GgufWeight> weights;
  for (const auto& [name, tensor] : gguf.tensors()) {
    if (IsGgufRopeTensor(name)) continue;  // now the config's rope_scaling
    if (architecture.experts != nullptr) {
      const std::vector<GgufWeight> matrices =
          Unstacked(gguf, *architecture.experts, name, tensor, config);
      weights.insert(weights.end(), matrices.begin(), matrices.end());
      if (!matrices.empty()) continue;
    }
    GgufWeight weight{HfNameOfGguf(architecture, name, config["num_hidden_layers"]), tensor};
    if (weight.hf_name.empty()) {
      Fail(ErrorCode::kUnsupported, "{}: tensor {} has no place in a {} model of {} layers",
           gguf.path(), QuotedName(name), config["model_type"].get<std::string>(),
           config["num_hidden_layers"].get<int64_t>());
    }
    if (weight.hf_name.ends_with(".shared_expert_gate.weight") && tensor.rank == 1) {
      weight.tensor = Tensor(tensor.data, tensor.dtype, {1, tensor.size()});
    }
    if (interleaved) weight.interleaved_heads = HeadsOf(weight.hf_name, config);
    if (architecture.norms_plus_one && weight.hf_name.ends_with("norm.weight")) weight.subtract = 1;
    if (weight.interleaved_heads > 0) CheckInterleaved(gguf, weight, config["head_dim"]);
    weights.push_back(std::move(weight));
  }
  return weights;
}

}  // namespace lorikeet
