#include "checkpoint/lora_config.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <string_view>
#include <unordered_set>

#include "checkpoint/module_regex.h"
#include "core/check.h"
#include "core/error.h"
#include "core/json_fields.h"
#include "core/text.h"

namespace lorikeet {
namespace {

constexpr int kMaxRank = 1 << 16;

// Keys of adapter_config.json that do not change what a finished adapter computes. fan_in_fan_out
// has a meaning for GPT-2's transposed layers only; a tied copy that ensure_weight_tying makes is
// compared with the base as any other.
constexpr std::string_view kInert[] = {
    "auto_mapping",
    "corda_config",
    "ensure_weight_tying",
    "eva_config",
    "fan_in_fan_out",
    "inference_mode",
    "loftq_config",
    "lora_ga_config",
    "megatron_core",
    "megatron_config",
    "peft_version",
    "qalora_group_size",
    "revision",
    "runtime_config",
    "task_type",
    // ms-swift's: the dtype that factors were trained in, and learning rates
    "lora_dtype",
    "lorap_emb_lr",
    "lorap_lr_ratio",
};
constexpr std::string_view kRead[] = {
    "peft_type",         "bias",           "init_lora_weights",   "r",
    "lora_alpha",        "lora_dropout",   "use_rslora",          "target_modules",
    "target_parameters", "rank_pattern",   "alpha_pattern",       "base_model_name_or_path",
    "exclude_modules",   "layers_pattern", "layers_to_transform", "modules_to_save",
    "use_dora",
};

// Values that ask for nothing: of a key that is not known too.
bool IsOff(const Json& value) {
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    return text.empty() || text == "none";
  }
  return value.is_null() || value == false || (value.is_structured() && value.empty());
}

[[noreturn]] void Refuse(const JsonFields& fields, std::string_view key, const char* why) {
  Fail(ErrorCode::kUnsupported, "{}: {} is set: {}", fields.where(), QuotedName(key), why);
}

void RefuseUnsupported(const JsonFields& fields) {
  if (fields.At("peft_type") != "LORA") {
    fields.Expected("peft_type", "\"LORA\" (other kinds of adapters are not supported)");
  }
  if (!IsOff(fields.At("bias"))) {
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

// A list, or one string in place of a list of one.
std::vector<std::string> OneOrMore(const JsonFields& fields, std::string_view key) {
  if (IsOff(fields.At(key))) return {};
  if (fields.At(key).is_string()) return {fields.String(key)};
  return SortedNames(fields, key);
}

void ReadTargets(const JsonFields& fields, LoraConfig& config) {
  if (!IsOff(fields.At("target_parameters"))) {
    config.target_parameters = SortedNames(fields, "target_parameters");
  }
  const Json& targets = fields.At("target_modules");
  if (targets.is_string()) {
    config.target_regex = targets.get<std::string>();
    if (LowerAscii(config.target_regex) == "all-linear") config.target_regex = "all-linear";
  } else if (!targets.is_null() || config.target_parameters.empty()) {
    config.target_modules = SortedNames(fields, "target_modules");
  }
  const Json& excluded = fields.At("exclude_modules");
  if (excluded.is_string()) {
    config.exclude_regex = excluded.get<std::string>();
  } else if (!IsOff(excluded)) {
    config.exclude_modules = SortedNames(fields, "exclude_modules");
  }
  config.modules_to_save = OneOrMore(fields, "modules_to_save");
}

// The layers that names in target_modules mean. peft refuses them beside a string.
void ReadLayers(const JsonFields& fields, LoraConfig& config) {
  const Json& layers = fields.At("layers_to_transform");
  config.layers_pattern = OneOrMore(fields, "layers_pattern");
  if (IsOff(layers)) return;
  constexpr const char* kWanted = "a layer's number, or a list of them";
  for (const Json& layer : layers.is_array() ? layers : Json::array({layers})) {
    if (!layer.is_number_integer() || layer < 0 || layer > 1'000'000) {
      fields.Expected("layers_to_transform", kWanted);
    }
    config.layers_to_transform.push_back(layer.get<int>());
  }
  if (!config.target_regex.empty()) {
    Refuse(fields, "layers_to_transform",
           "peft allows it beside a list of target_modules only, not beside one string");
  }
}

// The keys of an object in a file's own order, which a Json does not keep; of one that is repeated
// the first place, as in Python.
std::vector<std::string> KeysInOrder(std::string_view text, std::string_view object) {
  std::vector<std::string> keys;
  bool inside = false;
  const auto note = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (event != Json::parse_event_t::key) return true;
    const auto& key = parsed.get_ref<const std::string&>();
    if (depth == 1) inside = key == object;
    if (depth == 2 && inside) keys.push_back(key);
    return true;
  };
  CHECK(!Json::parse(text, note).is_discarded());  // the callback keeps everything
  std::unordered_set<std::string> seen;
  std::erase_if(keys, [&](const std::string& key) { return !seen.insert(key).second; });
  return keys;
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
Value FromPattern(const Patterns<Value>& patterns, const std::string& module, Value otherwise) {
  for (const auto& [pattern, value] : patterns) {
    if (PatternMatches(pattern, module)) return value;
  }
  return otherwise;
}

}  // namespace

LoraConfig ParseLoraConfig(std::string_view text, const std::string& where) {
  const Json json = ParseJson(text, where);
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
  config.use_dora = fields.Bool("use_dora", false);
  ReadTargets(fields, config);
  ReadLayers(fields, config);
  const JsonFields ranks = fields.Object("rank_pattern"), alphas = fields.Object("alpha_pattern");
  for (std::string& key : KeysInOrder(text, "rank_pattern")) {
    const int r = Rank(ranks, key);
    config.rank_pattern.emplace_back(std::move(key), r);
  }
  for (std::string& key : KeysInOrder(text, "alpha_pattern")) {
    const float alpha = Number(alphas, key);
    config.alpha_pattern.emplace_back(std::move(key), alpha);
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

bool IsExcluded(const LoraConfig& config, const std::string& module) {
  if (!config.exclude_regex.empty() &&
      ModuleRegex(config.exclude_regex, "exclude_modules").FullMatch(module)) {
    return true;
  }
  if (NamesOne(config.exclude_modules, module)) return true;
  return std::ranges::any_of(config.modules_to_save, [&](const std::string& saved) {
    return ModuleRegex("(.*\\.)?" + saved + "(\\..*)?", "modules_to_save").FullMatch(module);
  });
}

std::optional<int64_t> WholeNumber(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || text[0] == '-') {
    return std::nullopt;
  }
  return number;
}

// The first number in a module's path that the pattern precedes, or any name if it is empty; more
// names must follow it, and others must precede the name if the pattern is empty.
std::optional<int64_t> LayerAfter(const std::string& pattern, const std::string& module) {
  const bool plain = std::ranges::all_of(
      pattern, [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; });
  if (!plain) {
    const std::string number =
        ModuleRegex("(?:|.*?\\.)" + pattern + "\\.([0-9]+)\\..*", "layers_pattern")
            .LastGroup(module);
    return number.empty() ? std::nullopt : WholeNumber(number);
  }
  std::vector<std::string_view> parts;
  std::string_view rest = module;
  for (size_t dot = 0; (dot = rest.find('.')) != std::string_view::npos;
       rest.remove_prefix(dot + 1)) {
    parts.push_back(rest.substr(0, dot));  // the last part is not among them
  }
  for (size_t i = pattern.empty() ? 2 : 1; i < parts.size(); ++i) {
    if (!pattern.empty() && parts[i - 1] != pattern) continue;
    if (const auto number = WholeNumber(parts[i])) return number;
  }
  return std::nullopt;
}

// Whether a module that is a target by its last names lies in a layer that is one.
bool InLayers(const LoraConfig& config, const std::string& module) {
  if (config.layers_to_transform.empty()) return true;
  std::optional<int64_t> layer;
  if (config.layers_pattern.empty()) layer = LayerAfter("", module);
  for (const std::string& pattern : config.layers_pattern) {
    if (!layer) layer = LayerAfter(pattern, module);
  }
  return layer && std::ranges::count(config.layers_to_transform, *layer) > 0;
}

}  // namespace

bool IsTargetParameter(const LoraConfig& config, const std::string& parameter) {
  return NamesOne(config.target_parameters, parameter);
}

bool IsTarget(const LoraConfig& config, const std::string& module) {
  if (IsExcluded(config, module)) return false;
  if (config.target_regex == "all-linear") return module != "lm_head";
  if (!config.target_regex.empty()) {
    return ModuleRegex(config.target_regex, "target_modules").FullMatch(module);
  }
  if (std::ranges::count(config.target_modules, module) > 0) return true;
  return NamesOne(config.target_modules, module) && InLayers(config, module);
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
  OrderedJson alphas = OrderedJson::object(), ranks = OrderedJson::object();
  for (const auto& [pattern, alpha] : config.alpha_pattern) {
    alphas.get_ref<OrderedJson::object_t&>().emplace_back(pattern, number(alpha));
  }
  for (const auto& [pattern, r] : config.rank_pattern) {
    ranks.get_ref<OrderedJson::object_t&>().emplace_back(pattern, r);
  }
  OrderedJson json;
  json["alpha_pattern"] = alphas;
  json["base_model_name_or_path"] = config.base_model_name_or_path;
  json["bias"] = "none";
  if (!config.exclude_modules.empty()) json["exclude_modules"] = config.exclude_modules;
  if (!config.exclude_regex.empty()) json["exclude_modules"] = config.exclude_regex;
  json["fan_in_fan_out"] = false;
  json["inference_mode"] = true;
  json["init_lora_weights"] = true;
  if (!config.layers_to_transform.empty()) {
    json["layers_pattern"] = config.layers_pattern;
    json["layers_to_transform"] = config.layers_to_transform;
  }
  json["lora_alpha"] = number(config.lora_alpha);
  json["lora_dropout"] = config.lora_dropout;
  json["modules_to_save"] = nullptr;
  json["peft_type"] = "LORA";
  json["r"] = config.r;
  json["rank_pattern"] = ranks;
  if (config.target_regex.empty()) {
    json["target_modules"] = config.target_modules;
  } else {
    json["target_modules"] = config.target_regex;
  }
  json["task_type"] = "CAUSAL_LM";
  json["use_dora"] = config.use_dora;
  json["use_rslora"] = config.use_rslora;
  return json.dump(2, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
}

}  // namespace lorikeet
