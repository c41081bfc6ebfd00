#include "train/run_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "core/error.h"

namespace lorikeet {
namespace {

// FNV-1a over 32-bit words: tells files apart, keeps nobody out.
class Fingerprint {
 public:
  void Add(uint32_t word) {
    constexpr uint64_t kPrime = 0x100000001B3;
    hash_ = (hash_ ^ word) * kPrime;
    hash_ ^= hash_ >> 32;
  }
  std::string Text() const { return fmt::format("{:016x}", hash_); }

 private:
  uint64_t hash_ = 0xCBF29CE484222325;
};

std::string ScheduleName(ScheduleKind kind) {
  switch (kind) {
    case ScheduleKind::kLinear:
      return "linear";
    case ScheduleKind::kCosine:
      return "cosine";
    default:
      return "constant";
  }
}

// Only where they differ from 1, as in nearly every run.
void AddFactorScales(const OptimParams& optim, double init_a, Json* settings) {
  const auto add = [&](const char* name, double value) {
    if (value != 1) (*settings)[name] = value;
  };
  add("lora_init_a_scale", init_a);
  add("learning_rate_a_scale", optim.a.learning_rate);
  add("loraplus_lr_ratio", optim.b.learning_rate / optim.a.learning_rate);
  add("adam_epsilon_a_scale", optim.a.eps);
  add("adam_epsilon_b_scale", optim.b.eps);
  add("weight_decay_a_scale", optim.a.weight_decay);
  add("weight_decay_b_scale", optim.b.weight_decay);
}

}  // namespace

std::string FingerprintOf(const std::vector<Example>& examples) {
  Fingerprint print;
  for (const Example& example : examples) {
    print.Add(static_cast<uint32_t>(example.tokens.size()));
    for (const int32_t id : example.tokens) print.Add(static_cast<uint32_t>(id));
    for (const int32_t id : example.target_tokens) print.Add(static_cast<uint32_t>(id));
    for (const float weight : example.weights) print.Add(std::bit_cast<uint32_t>(weight));
  }
  return print.Text();
}

// A sample of every matrix, so that no model is read as a whole.
std::string FingerprintOf(const Model& model) {
  constexpr int64_t kSamples = 256;
  Fingerprint print;
  const auto add = [&](const Tensor& t) {
    const auto* bytes = static_cast<const uint8_t*>(t.data);
    const int64_t size = t.bytes(), step = std::max<int64_t>(1, size / kSamples);
    print.Add(static_cast<uint32_t>(size));
    for (int64_t i = 0; i < size; i += step) print.Add(bytes[i]);
  };
  add(model.weights().embed_tokens);
  for (const LayerWeights& layer : model.weights().layers) {
    ForEachLinear(layer, [&](const Linear& linear) { add(linear.weight); });
  }
  add(model.weights().lm_head.weight);
  return print.Text();
}

std::string FingerprintOf(std::span<const std::string> texts) {
  Fingerprint print;
  for (const std::string& text : texts) {
    print.Add(static_cast<uint32_t>(text.size()));
    for (const char c : text) print.Add(static_cast<unsigned char>(c));
  }
  return print.Text();
}

Json SettingsOf(const TrainingRun& run, const std::vector<Example>& train, const SftConfig& config,
                int64_t total_steps) {
  Json settings = {
      {"model", FingerprintOf(run.model())},
      {"dtype", DTypeName(run.model().compute())},
      {"data", FingerprintOf(train)},
      {"examples", train.size()},
      {"method", run.adapter() == nullptr ? "full" : "lora"},
      {"batch_size", config.batch_size},
      {"shuffle", config.shuffle},
      {"seed", config.seed},
      {"learning_rate", config.learning_rate},
      {"lr_scheduler_type", ScheduleName(config.schedule)},
      {"warmup_steps", WarmupSteps(config.warmup_steps, config.warmup_ratio, total_steps)},
      {"weight_decay", config.optim.weight_decay},
      {"adam_beta1", config.optim.beta1},
      {"adam_beta2", config.optim.beta2},
      {"adam_epsilon", config.optim.eps},
      {"max_grad_norm", config.optim.max_grad_norm},
      {"micro_batch_tokens", config.micro_batch_tokens}};
  // Only where it is: checkpoints that were written without it stay valid.
  if (config.optim.decay_matrices_only) settings["decay_matrices_only"] = true;
  // A constant rate does not know when it ends: such a run may be made longer.
  if (config.schedule != ScheduleKind::kConstant) settings["max_steps"] = total_steps;
  if (const LoraAdapter* adapter = run.adapter()) {
    const LoraConfig& lora = adapter->config();
    settings["lora_r"] = lora.r;
    settings["lora_alpha"] = lora.lora_alpha;
    settings["use_rslora"] = lora.use_rslora;
    settings["target_modules"] = lora.target_modules;
    AddFactorScales(config.optim, adapter->init_a(), &settings);
    if (run.model().config().num_experts > 0) {
      settings["rank_pattern"] = lora.rank_pattern;
      settings["lora_parameters"] = adapter->NumParameters();  // fewer where experts share factors
    }
  }
  return settings;
}

void RequireSameSettings(const Json& saved, const Json& here, const std::string& checkpoint) {
  for (const auto& [key, value] : here.items()) {
    const auto found = saved.find(key);
    if (found != saved.end() && *found == value) continue;
    if (key == "data" || key == "model") {
      Fail(ErrorCode::kInvalidArgument,
           "cannot resume from {}: {} is not what it was when the run began; give the same {}, or "
           "start anew in another output_dir",
           checkpoint, key, key);
    }
    Fail(ErrorCode::kInvalidArgument,
         "cannot resume from {}: {} was {} and is {} now; give the same value, or start anew in "
         "another output_dir",
         checkpoint, key, found == saved.end() ? "not set" : found->dump(), value.dump());
  }
  for (const auto& [key, value] : saved.items()) {
    if (here.contains(key) || value.is_null()) continue;
    Fail(ErrorCode::kInvalidArgument,
         "cannot resume from {}: {} was {} and is not set now; give the same value, or start anew "
         "in another output_dir",
         checkpoint, key, value.dump());
  }
}

}  // namespace lorikeet
