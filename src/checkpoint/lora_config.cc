#include "checkpoint/lora_config.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <limits>
#include <string_view>

#include "checkpoint/module_regex.h"
#include "core/error.h"
#include "core/json_fields.h"
#include "core/text.h"

namespace lorikeet {
namespace {

constexpr int kMaxRank = 1 << 16;

// Keys of adapter_config.json that do not change what a finished adapter computes.
constexpr std::string_view kInert[] = {
    "auto_mapping", "inference_mode", "layers_pattern",    "megatron_core",  "megatron_config",
    "peft_version", "revision",       "qalora_group_size", "runtime_config", "task_type",
    "loftq_config", "eva_config",     "corda_config",
};
constexpr std::string_view kRead[] = {
    "peft_type",         "bias",         "init_lora_weights", "r",
    "lora_alpha",        "lora_dropout", "use_rslora",        "target_modules",
    "target_parameters", "rank_pattern", "alpha_pattern",     "base_model_name_or_path",
};

bool IsOff(const Json& value) {
  return value.is_null() || value == false || value == "" ||
         (value.is_structured() && value.empty());
}

[[noreturn]] void Refuse(const JsonFields& fields, std::string_view key, const char* why) {
  Fail(ErrorCode::kUnsupported, "{}: {} is set: {}", fields.where(), QuotedName(key), why);
}

void RefuseUnsupported(const JsonFields& fields) {
  if (fields.At("peft_type") != "LORA") {
    fields.Expected("peft_type", "\"LORA\" (other kinds of adapters are not supported)");
  }
  if (fields.json().contains("bias") && fields.At("bias") != "none") {
    Refuse(fields, "bias", "trained biases are not supported");
  }
  // Methods that change the base's weights at the start: the adapter alone is not the whole model.
  const Json& init = fields.At("init_lora_weights");
  if (init.is_string() && init != "gaussian" && init != "eva" && init != "orthogonal") {
    Refuse(fields, "init_lora_weights",
           "its method changes the base; save the adapter with path_initial_model_for_weight_"
           "conversion");
  }
  const auto among = [](const auto& list, std::string_view key) {
    return std::find(std::begin(list), std::end(list), key) != std::end(list);
  };
  for (const auto& [key, value] : fields.json().items()) {
    if (among(kRead, key) || among(kInert, key) || IsOff(value)) continue;
    Refuse(fields, key, "this feature of peft is not supported here");
  }
}

int Rank(const JsonFields& fields, std::string_view key) {
  return static_cast<int>(fields.Int(key, 1, kMaxRank));
}
float Number(const JsonFields& fields, std::string_view key) {
  constexpr double kMax = std::numeric_limits<float>::max();
  return static_cast<float>(fields.Number(key, -kMax, kMax));
}

std::vector<std::string> SortedNames(const JsonFields& fields, std::string_view key) {
  if (!fields.At(key).is_array()) fields.Expected(key, "a list of names, or one string");
  std::vector<std::string> names = fields.Strings(key);
  std::ranges::sort(names);
  return names;
}

void ReadTargets(const JsonFields& fields, LoraConfig& config) {
  if (!IsOff(fields.At("target_parameters"))) {
    config.target_parameters = SortedNames(fields, "target_parameters");
  }
  const Json& targets = fields.At("target_modules");
  if (targets.is_string()) {
    config.target_regex = targets.get<std::string>();
  } else if (!targets.is_null() || config.target_parameters.empty()) {
    config.target_modules = SortedNames(fields, "target_modules");
  }
}

// Matches a pattern whose only operator is ".", which matches any character.
bool PlainPatternMatches(std::string_view pattern, std::string_view module) {
  if (module.size() < pattern.size()) return false;
  const std::string_view head = module.substr(0, module.size() - pattern.size());
  return (head.empty() || head.back() == '.') &&
         std::ranges::equal(pattern, module.substr(head.size()),
                            [](char p, char c) { return p == '.' || p == c; });
}

// As in peft: re.match(rf"(.*\.)?({pattern})$", name). Most patterns are plain names, possibly one
// for each module of a large model, and are matched without a regular expression.
bool PatternMatches(const std::string& pattern, const std::string& module) {
  const bool plain = std::ranges::all_of(
      pattern, [](unsigned char c) { return std::isalnum(c) != 0 || c == '_' || c == '.'; });
  if (plain) return PlainPatternMatches(pattern, module);
  return ModuleRegex("(.*\\.)?(" + pattern + ")", "an adapter's rank_pattern or alpha_pattern")
      .FullMatch(module);
}

template <class Value>
Value FromPattern(const std::map<std::string, Value>& patterns, const std::string& module,
                  Value otherwise) {
  for (const auto& [pattern, value] : patterns) {
    if (PatternMatches(pattern, module)) return value;
  }
  return otherwise;
}

}  // namespace

LoraConfig ParseLoraConfig(const Json& json, const std::string& where) {
  const JsonFields fields(json, where);
  RefuseUnsupported(fields);
  LoraConfig config;
  // Absent keys have peft's defaults.
  config.r = json.contains("r") ? Rank(fields, "r") : 8;
  config.lora_alpha = json.contains("lora_alpha") ? Number(fields, "lora_alpha") : 8;
  config.lora_dropout = json.contains("lora_dropout") ? Number(fields, "lora_dropout") : 0;
  if (config.lora_dropout < 0 || config.lora_dropout >= 1) {
    fields.Expected("lora_dropout", "a number from 0 to below 1");
  }
  config.use_rslora = fields.Bool("use_rslora", false);
  ReadTargets(fields, config);
  const JsonFields ranks = fields.Object("rank_pattern"), alphas = fields.Object("alpha_pattern");
  for (const auto& item : ranks.json().items()) {
    config.rank_pattern[item.key()] = Rank(ranks, item.key());
  }
  for (const auto& item : alphas.json().items()) {
    config.alpha_pattern[item.key()] = Number(alphas, item.key());
  }
  if (fields.At("base_model_name_or_path").is_string()) {
    config.base_model_name_or_path = fields.String("base_model_name_or_path");
  }
  return config;
}

namespace {
bool NamesOne(const std::vector<std::string>& targets, const std::string& name) {
  return std::ranges::any_of(targets, [&](const std::string& target) {
    return name == target ||
           (name.ends_with(target) && name[name.size() - target.size() - 1] == '.');
  });
}
}  // namespace

bool IsTargetParameter(const LoraConfig& config, const std::string& parameter) {
  return NamesOne(config.target_parameters, parameter);
}

bool IsTarget(const LoraConfig& config, const std::string& module) {
  if (config.target_regex == "all-linear") return module != "lm_head";
  if (!config.target_regex.empty()) {
    return ModuleRegex(config.target_regex, "target_modules").FullMatch(module);
  }
  return NamesOne(config.target_modules, module);
}

int RankOf(const LoraConfig& config, const std::string& module) {
  return FromPattern(config.rank_pattern, module, config.r);
}

float AlphaOf(const LoraConfig& config, const std::string& module) {
  return FromPattern(config.alpha_pattern, module, config.lora_alpha);
}

std::string LoraConfigText(const LoraConfig& config) {
  // peft declares lora_alpha an integer, and accepts a fraction as well.
  const auto number = [](float value) {
    const bool whole = value == std::floor(value) && std::abs(value) < 1e9F;
    return whole ? Json(static_cast<int64_t>(value)) : Json(value);
  };
  OrderedJson alphas = OrderedJson::object();
  for (const auto& [pattern, alpha] : config.alpha_pattern) alphas[pattern] = number(alpha);
  OrderedJson json;
  json["alpha_pattern"] = alphas;
  json["base_model_name_or_path"] = config.base_model_name_or_path;
  json["bias"] = "none";
  json["fan_in_fan_out"] = false;
  json["inference_mode"] = true;
  json["init_lora_weights"] = true;
  json["lora_alpha"] = number(config.lora_alpha);
  json["lora_dropout"] = config.lora_dropout;
  json["modules_to_save"] = nullptr;
  json["peft_type"] = "LORA";
  json["r"] = config.r;
  json["rank_pattern"] = config.rank_pattern;
  if (config.target_regex.empty()) {
    json["target_modules"] = config.target_modules;
  } else {
    json["target_modules"] = config.target_regex;
  }
  json["task_type"] = "CAUSAL_LM";
  json["use_dora"] = false;
  json["use_rslora"] = config.use_rslora;
  return json.dump(2, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
}

}  // namespace lorikeet
