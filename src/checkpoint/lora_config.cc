#include "checkpoint/lora_config.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <limits>
#include <string_view>

#include "checkpoint/module_regex.h"
#include "checkpoint/quote.h"
#include "core/error.h"

namespace lorikeet {
namespace {

constexpr int kMostRank = 1 << 16;

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

// One adapter_config.json: typed reads whose errors name file and key.
class ConfigReader {
 public:
  ConfigReader(const Json& json, const std::string& where) : json_(json), where_(where) {
    if (!json.is_object()) Fail(ErrorCode::kCorruptFile, "{}: not a JSON object", where);
  }

  LoraConfig Read() const {
    RefuseUnsupported();
    LoraConfig config;
    config.r = Has("r") ? Rank("r", At("r")) : 8;  // absent keys have peft's defaults
    config.lora_alpha = Has("lora_alpha") ? Number("lora_alpha", At("lora_alpha")) : 8;
    config.lora_dropout = Has("lora_dropout") ? Number("lora_dropout", At("lora_dropout")) : 0;
    if (config.lora_dropout < 0 || config.lora_dropout >= 1) {
      FailKey("lora_dropout", "a number from 0 to below 1");
    }
    config.use_rslora = Bool("use_rslora");
    ReadTargets(config);
    for (const auto& [pattern, rank] : Object("rank_pattern").items()) {
      config.rank_pattern[pattern] = Rank("rank_pattern", rank);
    }
    for (const auto& [pattern, alpha] : Object("alpha_pattern").items()) {
      config.alpha_pattern[pattern] = Number("alpha_pattern", alpha);
    }
    if (const Json& base = At("base_model_name_or_path"); base.is_string()) {
      config.base_model_name_or_path = base.get<std::string>();
    }
    return config;
  }

 private:
  bool Has(const char* key) const { return json_.contains(key); }
  // Null if absent. A reference: copying a hostile, deeply nested value would overflow the stack.
  const Json& At(const char* key) const {
    static const Json kNull;
    const auto found = json_.find(key);
    return found == json_.end() ? kNull : *found;
  }

  [[noreturn]] void FailKey(std::string_view key, const char* wanted) const {
    Fail(ErrorCode::kCorruptFile, "{}: {} must be {}", where_, Quote(key), wanted);
  }
  [[noreturn]] void Refuse(std::string_view key, const char* why) const {
    Fail(ErrorCode::kUnsupported, "{}: {} is set: {}", where_, Quote(key), why);
  }

  void RefuseUnsupported() const {
    if (At("peft_type") != "LORA")
      FailKey("peft_type", "\"LORA\"; other kinds of adapters are not supported");
    if (Has("bias") && At("bias") != "none") {
      Refuse("bias", "trained biases are not supported");
    }
    // Methods that change the base's weights at the start: the adapter alone is not the whole
    // model.
    const Json& init = At("init_lora_weights");
    if (init.is_string() && init != "gaussian" && init != "eva" && init != "orthogonal") {
      Refuse("init_lora_weights",
             "its method changes the base; save the adapter with path_initial_model_for_weight_"
             "conversion");
    }
    const auto among = [](const auto& list, std::string_view key) {
      return std::find(std::begin(list), std::end(list), key) != std::end(list);
    };
    for (const auto& [key, value] : json_.items()) {
      if (among(kRead, key) || among(kInert, key) || IsOff(value)) continue;
      Refuse(key, "this feature of peft is not supported here");
    }
  }

  void ReadTargets(LoraConfig& config) const {
    if (!IsOff(At("target_parameters"))) config.target_parameters = List("target_parameters");
    const Json& targets = At("target_modules");
    if (targets.is_string()) {
      config.target_regex = targets.get<std::string>();
    } else if (!targets.is_null() || config.target_parameters.empty()) {
      config.target_modules = List("target_modules");
    }
  }

  std::vector<std::string> List(const char* key) const {
    const char* wanted = "a list of names, or one string";
    if (!At(key).is_array()) FailKey(key, wanted);
    std::vector<std::string> names;
    for (const Json& name : At(key)) {
      if (!name.is_string()) FailKey(key, wanted);
      names.push_back(name.get<std::string>());
    }
    std::ranges::sort(names);
    return names;
  }

  int Rank(std::string_view key, const Json& value) const {
    if (!value.is_number_integer() || value < 1 || value > kMostRank) {
      FailKey(key, "a whole number from 1 to 65536");
    }
    return value.get<int>();
  }
  float Number(std::string_view key, const Json& value) const {
    if (!value.is_number() ||
        !(std::abs(value.get<double>()) <= std::numeric_limits<float>::max())) {
      FailKey(key, "a number");
    }
    return value.get<float>();
  }
  bool Bool(const char* key) const {
    const Json& value = At(key);
    if (value.is_null()) return false;
    if (!value.is_boolean()) FailKey(key, "true or false");
    return value.get<bool>();
  }
  const Json& Object(const char* key) const {
    static const Json kNone = Json::object();
    const Json& value = At(key);
    if (value.is_null()) return kNone;
    if (!value.is_object()) FailKey(key, "an object");
    return value;
  }

  const Json& json_;
  const std::string& where_;
};

// A pattern without operators but ".", which stands for any character.
bool PlainPatternMatches(std::string_view pattern, std::string_view module) {
  if (module.size() < pattern.size()) return false;
  const std::string_view head = module.substr(0, module.size() - pattern.size());
  return (head.empty() || head.back() == '.') &&
         std::ranges::equal(pattern, module.substr(head.size()),
                            [](char p, char c) { return p == '.' || p == c; });
}

// peft: re.match(rf"(.*\.)?({pattern})$", name). Patterns are mostly plain names, and there may be
// one for each module of a large model: those need no regular expression.
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
  return ConfigReader(json, where).Read();
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
  // peft declares lora_alpha an integer, and takes a fraction as well.
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
