#include "recipes/run.h"

#include <fmt/format.h>

namespace lorikeet {

std::string Adapter::FactorText() const {
  std::string text;
  const auto add = [&](const char* name, double value) {
    if (value != 1) text += fmt::format("{}{} {:g}", text.empty() ? "" : ", ", name, value);
  };
  add("lora_init_a_scale", lora_init_a_scale);
  add("loraplus_lr_ratio", b.learning_rate);
  add("adam_epsilon_a_scale", a.eps);
  add("adam_epsilon_b_scale", b.eps);
  add("weight_decay_a_scale", a.weight_decay);
  add("weight_decay_b_scale", b.weight_decay);
  return text;
}

}  // namespace lorikeet
