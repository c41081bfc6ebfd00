#include "checkpoint/upcycle.h"

#include <array>
#include <charconv>
#include <string_view>

#include "core/error.h"
#include "core/random.h"
#include "core/text.h"

namespace lorikeet {
namespace {

constexpr int64_t kMaxExperts = 1024;
constexpr double kRouterStd = 0.02;  // initializer_range of the families

// The family of experts that a dense family becomes.
struct Target {
  const char *model_type, *architecture, *block;
  std::array<const char*, 3> experts;  // gate, up and down of an expert
  const char* experts_key;
};
constexpr Target kMixtral = {
    "mixtral", "MixtralForCausalLM", "block_sparse_moe", {"w1", "w3", "w2"}, "num_local_experts"};
constexpr Target kQwen3Moe = {"qwen3_moe",
                              "Qwen3MoeForCausalLM",
                              "mlp",
                              {"gate_proj", "up_proj", "down_proj"},
                              "num_experts"};
constexpr std::array<const char*, 3> kDenseMlp = {"gate_proj", "up_proj", "down_proj"};

bool IsOn(const Json& config, const char* key) {
  const auto found = config.find(key);
  return found != config.end() && *found == true;
}

const Target& TargetOf(const ModelSource& dense) {
  const Json& config = dense.config();
  const std::string type = config.value("model_type", "");
  for (const char* key : {"attention_bias", "mlp_bias", "use_sliding_window"}) {
    if (IsOn(config, key)) {
      Fail(ErrorCode::kUnsupported, "{}: {} is set, which no mixture of experts here has",
           dense.path(), key);
    }
  }
  if (type == "qwen3") return kQwen3Moe;
  if (type == "llama" || type == "mistral") return kMixtral;
  Fail(ErrorCode::kUnsupported,
       "{}: a model of type {} has no mixture of experts to become; llama, mistral and qwen3 have",
       dense.path(), QuotedName(type));
}

Json ConfigOf(const Json& dense, const Target& target, const Upcycling& options) {
  Json config = dense;
  for (const char* key : {"attention_bias", "mlp_bias", "pretraining_tp", "layer_types",
                          "max_window_layers", "use_sliding_window"}) {
    config.erase(key);
  }
  config["model_type"] = target.model_type;
  config["architectures"] = {target.architecture};
  config[target.experts_key] = options.experts;
  config["num_experts_per_tok"] = options.active;
  config["output_router_logits"] = false;
  if (target.model_type == std::string_view("mixtral")) {
    if (!config.contains("sliding_window")) config["sliding_window"] = nullptr;
    return config;
  }
  config["sliding_window"] = nullptr;
  config["moe_intermediate_size"] = dense.value("intermediate_size", 0);
  config["norm_topk_prob"] = true;
  config["decoder_sparse_step"] = 1;
  config["mlp_only_layers"] = Json::array();
  return config;
}

// (E, D), uniform with standard deviation kRouterStd.
Buffer MakeRouter(const std::string& name, int64_t experts, int64_t hidden, uint64_t seed) {
  Buffer router(DType::kF32, {experts, hidden});
  const RandomStream random(seed, "router", name);
  const double bound = kRouterStd * 1.7320508075688772;  // sqrt(3)
  float* values = router.tensor().as<float>();
  for (int64_t i = 0; i < router.tensor().size(); ++i) {
    values[i] = static_cast<float>(bound * (2 * random.Uniform(static_cast<uint64_t>(i)) - 1));
  }
  return router;
}

}  // namespace

Upcycling ParseUpcycling(const std::string& text, uint64_t seed) {
  Upcycling options = {.seed = seed};
  const char *begin = text.data(), *end = begin + text.size();
  const auto first = std::from_chars(begin, end, options.experts);
  bool ok = first.ec == std::errc() && first.ptr != end && *first.ptr == ':';
  if (ok) {
    const auto second = std::from_chars(first.ptr + 1, end, options.active);
    ok = second.ec == std::errc() && second.ptr == end;
  }
  if (!ok || options.experts < 2 || options.experts > kMaxExperts || options.active < 1 ||
      options.active > options.experts) {
    Fail(ErrorCode::kInvalidArgument,
         "--upcycle {}: give experts:active, such as 8:2, of 2 to {} experts", QuotedName(text),
         kMaxExperts);
  }
  return options;
}

ModelSource Upcycle(const ModelSource& dense, const Upcycling& options) {
  const Target& target = TargetOf(dense);
  std::vector<ModelSource::Part> parts;
  std::vector<Buffer> routers;
  for (const ModelSource::Entry& entry : dense.entries()) {
    const size_t at = entry.name.find(".mlp.");
    if (at == std::string::npos) {
      parts.push_back({entry.name, entry.name, {}});
      continue;
    }
    const std::string block = entry.name.substr(0, at + 1) + target.block + ".";
    for (size_t p = 0; p < kDenseMlp.size(); ++p) {
      if (entry.name.substr(at + 5) != std::string(kDenseMlp[p]) + ".weight") continue;
      if (p == 0) {
        const std::string name = block + "gate.weight";
        routers.push_back(MakeRouter(name, options.experts, entry.shape.back(), options.seed));
        parts.push_back({name, "", routers.back().tensor()});
      }
      for (int64_t e = 0; e < options.experts; ++e) {
        parts.push_back(
            {block + "experts." + std::to_string(e) + "." + target.experts[p] + ".weight",
             entry.name,
             {}});
      }
    }
  }
  return dense.Rebuilt(ConfigOf(dense.config(), target, options), parts, std::move(routers));
}

}  // namespace lorikeet
