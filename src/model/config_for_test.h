// Helpers for tests of config.json: small configurations, and what is read from them.
#pragma once
#include <string>
#include <vector>

#include "core/error.h"
#include "model/config.h"

namespace lorikeet {

// A config.json with sizes alone: 4 query and 2 key heads of 16. changes: keys added or replaced.
inline Json TinyConfig(const char* model_type, int64_t layers, const Json& changes) {
  Json config = {{"model_type", model_type},    {"hidden_size", 64},
                 {"intermediate_size", 80},     {"vocab_size", 96},
                 {"num_hidden_layers", layers}, {"num_attention_heads", 4},
                 {"num_key_value_heads", 2},    {"head_dim", 16}};
  config.update(changes);
  return config;
}

inline ModelConfig ReadConfig(const Json& json) { return ReadModelConfig(json, "config.json"); }

// The error of reading it; empty if there is none.
inline std::string ConfigError(const Json& json) {
  try {
    ReadConfig(json);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

inline AttentionSpec AttentionSpecOf(const ModelConfig& config, size_t layer) {
  return std::get<AttentionSpec>(config.layers[layer].sublayers[0].branches[0]);
}

// The window of every layer.
inline std::vector<int64_t> WindowsOf(const ModelConfig& config) {
  std::vector<int64_t> windows;
  for (size_t l = 0; l < config.layers.size(); ++l) {
    windows.push_back(AttentionSpecOf(config, l).window);
  }
  return windows;
}

}  // namespace lorikeet
