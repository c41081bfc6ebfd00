#include "cli/factor_options.h"

#include <fmt/format.h>

namespace lorikeet {

std::string FactorOptions::Text() const {
  std::string text;
  const auto add = [&](const char* name, double value) {
    if (value != 1) text += fmt::format("{}{} {:g}", text.empty() ? "" : ", ", name, value);
  };
  add("lora_init_a_scale", lora_init_a_scale);
  add("loraplus_lr_ratio", loraplus_lr_ratio);
  add("adam_epsilon_a_scale", adam_epsilon_a_scale);
  add("adam_epsilon_b_scale", adam_epsilon_b_scale);
  add("weight_decay_a_scale", weight_decay_a_scale);
  add("weight_decay_b_scale", weight_decay_b_scale);
  return text;
}

}  // namespace lorikeet
