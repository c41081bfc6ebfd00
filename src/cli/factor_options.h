// What A and B of an adapter may have apart: A's first values, rates, eps and weight decay
// ("LoRA Without Regret", its section on invariances; LoRA+). All are factors, and 1 is as usual.
#pragma once
#include <string>

#include "options/args.h"
#include "train/training_run.h"

namespace lorikeet {

struct FactorOptions {
  double lora_init_a_scale, loraplus_lr_ratio;
  double adam_epsilon_a_scale, adam_epsilon_b_scale, weight_decay_a_scale, weight_decay_b_scale;

  template <class V>
  void ForEach(V& v) {
    v(lora_init_a_scale, "lora_init_a_scale", 1.0,
      "First values of A, as a factor of uniform in 1/sqrt(input width).",
      {.group = "Adapter, A and B apart (1: as usual)", .above = 0});
    v(loraplus_lr_ratio, "loraplus_lr_ratio", 1.0,
      "B's learning rate over A's, which is learning_rate (LoRA+).", {.above = 0});
    v(adam_epsilon_a_scale, "adam_epsilon_a_scale", 1.0, "A's adam_epsilon over adam_epsilon.",
      {.above = 0});
    v(adam_epsilon_b_scale, "adam_epsilon_b_scale", 1.0, "B's adam_epsilon over adam_epsilon.",
      {.above = 0});
    v(weight_decay_a_scale, "weight_decay_a_scale", 1.0, "A's weight_decay over weight_decay.",
      {.min = 0});
    v(weight_decay_b_scale, "weight_decay_b_scale", 1.0, "B's weight_decay over weight_decay.",
      {.min = 0});
  }

  FactorScales A() const { return {1, adam_epsilon_a_scale, weight_decay_a_scale}; }
  FactorScales B() const { return {loraplus_lr_ratio, adam_epsilon_b_scale, weight_decay_b_scale}; }
  // Those that are not as usual, with their values: "loraplus_lr_ratio 16, ..."; "" if none.
  std::string Text() const;
};

}  // namespace lorikeet
