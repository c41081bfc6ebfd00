#include "model/linear_shapes.h"

namespace lorikeet {

LinearShapes PlainShapes(const ModelConfig& c) {
  const int64_t D = c.hidden_size, F = c.intermediate_size;
  return {{{{"model.layers.0.self_attn.q_proj", D, c.q_size()},
            {"model.layers.0.self_attn.k_proj", D, c.kv_size()},
            {"model.layers.0.self_attn.v_proj", D, c.kv_size()},
            {"model.layers.0.self_attn.o_proj", c.q_size(), D},
            {"model.layers.0.mlp.gate_proj", D, F},
            {"model.layers.0.mlp.up_proj", D, F},
            {"model.layers.0.mlp.down_proj", F, D}}},
          {"lm_head", D, c.vocab_size}};
}

LinearShapes AdaptedShapes(const ModelConfig& c, const TrainingShape& shape) {
  LinearShapes shapes = PlainShapes(c);
  if (shape.method == Method::kFull) return shapes;
  std::vector<std::string> modules;
  for (const LinearShape& linear : shapes.layer) modules.push_back(linear.name);
  modules.push_back(shapes.head.name);
  LoraConfig config;
  config.target_modules = shape.target_modules;
  for (const std::string& module : MatchTargets(modules, config)) {
    for (LinearShape& linear : shapes.layer) {
      if (linear.name == module) linear.r = shape.lora_r;
    }
    if (module == shapes.head.name) shapes.head.r = shape.lora_r;
  }
  return shapes;
}

}  // namespace lorikeet
