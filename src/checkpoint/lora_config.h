// A `LoraConfig` is the content of an adapter_config.json: target modules, ranks and scales of
// LoRA.
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/json.h"

namespace lorikeet {

// Values by pattern: a name, a suffix or a regular expression of modules. The first that matches
// counts, so the order is that of the file.
template <class Value>
using Patterns = std::vector<std::pair<std::string, Value>>;

// Changes a pattern's value, or appends the pattern.
template <class Value>
void SetPattern(Patterns<Value>* patterns, const std::string& pattern, Value value) {
  for (auto& [known, old] : *patterns) {
    if (known == pattern) {
      old = value;
      return;
    }
  }
  patterns->emplace_back(pattern, value);
}

struct LoraConfig {
  int r = 32;
  int expert_r = 0;           // rank of every expert in a new adapter; 0: r / active experts
  bool shared_outer = false;  // in a new adapter: whether the experts of a layer share a factor
  float lora_alpha = 32;
  float lora_dropout = 0;
  bool use_rslora = false;                     // scale alpha / sqrt(r) instead of alpha / r
  std::vector<std::string> target_modules;     // names, or suffixes of names after a dot
  std::vector<std::string> target_parameters;  // likewise, for parameters that are not modules
  std::string target_regex;       // instead of the list: a regex for whole names, or "all-linear"
  Patterns<int> rank_pattern;     // -> r
  Patterns<float> alpha_pattern;  // -> lora_alpha
  // Keys that narrow the targets; peft's names and meaning.
  std::vector<std::string> exclude_modules;
  std::string exclude_regex;                 // instead of the list
  std::vector<std::string> modules_to_save;  // never targets; the file may hold copies of them
  std::vector<int> layers_to_transform;      // empty: all; not for targets given as whole paths
  std::vector<std::string> layers_pattern;   // what precedes a layer's number; empty: anything
  bool use_dora = false;                     // rows of W + s B A are given their own lengths
  std::string base_model_name_or_path;
};

// Reads the text of an adapter_config.json; `where` names it in errors. Throws Error for
// unsupported settings that would change the result (bias, layer_replication, ...).
LoraConfig ParseLoraConfig(std::string_view text, const std::string& where);

// Whether a module is a target: by regex, name or suffix, unless another key excludes it.
// "all-linear" names every module except lm_head.
bool IsTarget(const LoraConfig& config, const std::string& module);
// Whether a parameter ("model.layers.0.mlp.experts.down_proj") is a target.
bool IsTargetParameter(const LoraConfig& config, const std::string& parameter);
// The rank and alpha of one module: the first pattern that matches, else the config's own.
int RankOf(const LoraConfig& config, const std::string& module);
float AlphaOf(const LoraConfig& config, const std::string& module);

// The text of an adapter_config.json, with keys of old versions of peft only, unless others are
// set.
std::string LoraConfigText(const LoraConfig& config);

}  // namespace lorikeet
