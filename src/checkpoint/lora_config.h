// A `LoraConfig` is the content of an adapter_config.json: target modules, ranks and scales of
// LoRA.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "core/json.h"

namespace lorikeet {

struct LoraConfig {
  int r = 32;
  int expert_r = 0;           // rank of every expert in a new adapter; 0: r / active experts
  bool shared_outer = false;  // in a new adapter: whether the experts of a layer share a factor
  float lora_alpha = 32;
  float lora_dropout = 0;
  bool use_rslora = false;                     // scale alpha / sqrt(r) instead of alpha / r
  std::vector<std::string> target_modules;     // names, or suffixes of names after a dot
  std::vector<std::string> target_parameters;  // likewise, for parameters that are not modules
  std::string target_regex;  // instead of the list: a regex for whole names, or "all-linear"
  std::map<std::string, int> rank_pattern;     // name, suffix or regex -> r
  std::map<std::string, float> alpha_pattern;  // likewise -> lora_alpha
  std::string base_model_name_or_path;
};

// Reads an adapter_config.json; `where` names it in errors. Throws Error for unsupported settings
// that would change the result (DoRA, bias, modules_to_save, ...).
LoraConfig ParseLoraConfig(const Json& json, const std::string& where);

// Whether a module is a target: by regex, name or suffix. "all-linear" names every module except
// lm_head.
bool IsTarget(const LoraConfig& config, const std::string& module);
// Whether a parameter ("model.layers.0.mlp.experts.down_proj") is a target.
bool IsTargetParameter(const LoraConfig& config, const std::string& parameter);
// The rank and alpha of one module: the first pattern that matches, else the config's own.
int RankOf(const LoraConfig& config, const std::string& module);
float AlphaOf(const LoraConfig& config, const std::string& module);

// The text of an adapter_config.json, with keys of old versions of peft only.
std::string LoraConfigText(const LoraConfig& config);

}  // namespace lorikeet
