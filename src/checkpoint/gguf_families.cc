#include "checkpoint/gguf_families.h"

#include <string_view>

#include "core/error.h"
#include "core/text.h"

namespace lorikeet {
namespace {

void RefuseOtherRouters(const GgufFile& gguf, const Hyperparameters& hyper, bool shared) {
  for (const char* key : {"expert_weights_scale", "expert_shared_count",
                          "expert_shared_feed_forward_length", "expert_gating_func"}) {
    if (shared && std::string_view(key).starts_with("expert_shared")) continue;
    // A gating function of 1 is softmax.
    const double harmless = std::string_view(key).ends_with("_count") ? 0 : 1;
    const double value = gguf.FloatOr(hyper.Key(key), harmless);
    if (value == harmless || value == 0) continue;
    Fail(ErrorCode::kUnsupported, "{}: metadata {} is {}; not supported", gguf.path(),
         QuotedName(hyper.Key(key)), value);
  }
}

// Its intermediate_size is the experts', and the weights of the chosen ones always sum to 1.
void AddMixtral(const GgufFile& gguf, const Hyperparameters& hyper, Json* config) {
  (*config)["num_local_experts"] = hyper.Size("expert_count");
  (*config)["num_experts_per_tok"] = hyper.Size("expert_used_count");
  RefuseOtherRouters(gguf, hyper, /*shared=*/false);
  if (gguf.BoolOr(hyper.Key("expert_weights_norm"), true)) return;
  Fail(ErrorCode::kUnsupported, "{}: metadata {} is false; not supported", gguf.path(),
       QuotedName(hyper.Key("expert_weights_norm")));
}

}  // namespace

// llama.cpp's architectures have experts in every layer. Its qwen3moe always makes the weights of
// the chosen ones sum to 1, the others never do; files can say otherwise.
void AddExperts(const GgufFile& gguf, const Hyperparameters& hyper, Json* config) {
  Json& c = *config;
  const std::string type = c["model_type"];
  if (type == "mixtral") return AddMixtral(gguf, hyper, config);
  const bool olmoe = type == "olmoe", shared = type == "qwen2_moe";
  const int64_t inner = c["intermediate_size"], active = hyper.Size("expert_used_count");
  c["num_experts"] = hyper.Size("expert_count");
  c["num_experts_per_tok"] = active;
  c["norm_topk_prob"] = gguf.BoolOr(hyper.Key("expert_weights_norm"), type == "qwen3_moe");
  RefuseOtherRouters(gguf, hyper, shared);
  constexpr const char* kInner = "expert_feed_forward_length";
  if (olmoe) {
    c["intermediate_size"] = hyper.SizeOr(kInner, inner);
    return;
  }
  c["moe_intermediate_size"] = shared ? hyper.SizeOr(kInner, inner / active) : hyper.Size(kInner);
  c["decoder_sparse_step"] = 1;
  c["mlp_only_layers"] = Json::array();
  if (!shared) return;
  c["shared_expert_intermediate_size"] = hyper.SizeOr("expert_shared_feed_forward_length", inner);
  if (gguf.IntOr(hyper.Key("expert_shared_count"), 1) <= 1) return;
  Fail(ErrorCode::kUnsupported, "{}: metadata {} is {}; only one is supported", gguf.path(),
       QuotedName(hyper.Key("expert_shared_count")), hyper.Size("expert_shared_count"));
}

void AddMultipliers(const GgufFile& gguf, const Hyperparameters& hyper, Json* config) {
  constexpr std::pair<const char*, const char*> kKeys[] = {
      {"attention.scale", "attention_multiplier"},
      {"embedding_scale", "embedding_multiplier"},
      {"residual_scale", "residual_multiplier"},
      {"logit_scale", "logits_scaling"}};
  for (const auto& [key, hf_key] : kKeys) {
    if (hyper.Has(key)) (*config)[hf_key] = hyper.Positive(key);
  }
  if (gguf.BoolOr(hyper.Key("rope.scaling.finetuned"), true)) return;
  Fail(ErrorCode::kUnsupported, "{}: metadata {} is false: a model without rope is not supported",
       gguf.path(), QuotedName(hyper.Key("rope.scaling.finetuned")));
}

void AddWindows(const GgufFile& gguf, const Hyperparameters& hyper, Json* config) {
  constexpr const char *kWindow = "attention.sliding_window",
                       *kPattern = "attention.sliding_window_pattern";
  const int64_t layers = (*config)["num_hidden_layers"];
  // llama.cpp knows the window of EXAONE 4 32B without a key.
  const int64_t standard = (*config)["model_type"] == "exaone4" && layers == 64 ? 4096 : 0;
  const int64_t window = gguf.IntOr(hyper.Key(kWindow), standard);
  (*config)["sliding_window"] = window > 0 ? Json(window) : Json();
  if (window <= 0) return;
  std::vector<int64_t> in_window;
  const bool list = hyper.Has(kPattern) && gguf.IsArray(hyper.Key(kPattern));
  if (list) in_window = gguf.Ints(hyper.Key(kPattern));
  const int64_t every = list ? 1 : hyper.SizeOr(kPattern, 4);
  for (int64_t l = 0; !list && l < layers; ++l) in_window.push_back((l + 1) % every != 0 ? 1 : 0);
  if (std::ssize(in_window) < layers) {
    Fail(ErrorCode::kCorruptFile, "{}: metadata {} has {} entries for {} layers", gguf.path(),
         QuotedName(hyper.Key(kPattern)), in_window.size(), layers);
  }
  Json types = Json::array();
  for (int64_t l = 0; l < layers; ++l) {
    const bool in = in_window[static_cast<size_t>(l)] != 0;
    types.push_back(in ? "sliding_attention" : "full_attention");
  }
  (*config)["layer_types"] = std::move(types);
}

}  // namespace lorikeet
