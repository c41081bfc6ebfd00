#include "model/linear_shapes.h"

#include <fmt/core.h>

#include <algorithm>

namespace lorikeet {
namespace {

// The first layer with experts, or without; 0 when there is none.
int64_t FirstLayer(const ModelConfig& c, bool with_experts) {
  for (int64_t l = 0; l < c.num_hidden_layers; ++l) {
    if (c.has_experts(l) == with_experts) return l;
  }
  return 0;
}

// Those that the model has.
std::vector<LinearShape*> ShapesOf(const ModelConfig& c, LinearShapes& shapes) {
  const int64_t expert_layers = c.num_expert_layers();
  const size_t dense = expert_layers < c.num_hidden_layers ? kLinearsPerLayer : kGate;
  std::vector<LinearShape*> found;
  for (size_t i = 0; i < dense; ++i) found.push_back(&shapes.layer[i]);
  if (expert_layers > 0) {
    found.push_back(&shapes.router);
    for (LinearShape& linear : shapes.expert) found.push_back(&linear);
  }
  found.push_back(&shapes.head);
  return found;
}

}  // namespace

LinearShapes PlainShapes(const ModelConfig& c) {
  const int64_t D = c.hidden_size, F = c.intermediate_size;
  const std::string dense = fmt::format("model.layers.{}.mlp.", FirstLayer(c, false));
  LinearShapes shapes = {{{{"model.layers.0.self_attn.q_proj", D, c.q_size()},
                           {"model.layers.0.self_attn.k_proj", D, c.kv_size()},
                           {"model.layers.0.self_attn.v_proj", D, c.kv_size()},
                           {"model.layers.0.self_attn.o_proj", c.q_size(), D},
                           {dense + "gate_proj", D, F},
                           {dense + "up_proj", D, F},
                           {dense + "down_proj", F, D}}},
                         {},
                         {},
                         {"lm_head", D, c.vocab_size}};
  if (c.num_experts == 0) return shapes;
  const ExpertNames& names = *c.expert_names;
  const std::string block = fmt::format("model.layers.{}.{}.", FirstLayer(c, true), names.block);
  const std::string expert = block + "experts.0.";
  shapes.router = {block + "gate", D, c.num_experts};
  shapes.expert = {{{expert + names.gate_proj, D, c.moe_intermediate_size},
                    {expert + names.up_proj, D, c.moe_intermediate_size},
                    {expert + names.down_proj, c.moe_intermediate_size, D}}};
  return shapes;
}

LinearShapes AdaptedShapes(const ModelConfig& c, const TrainingShape& shape) {
  LinearShapes shapes = PlainShapes(c);
  if (shape.method == Method::kFull) return shapes;
  const std::vector<LinearShape*> there = ShapesOf(c, shapes);
  std::vector<std::string> modules;
  for (const LinearShape* linear : there) modules.push_back(linear->name);
  LoraConfig config;
  config.r = shape.lora_r;
  config.expert_r = shape.lora_expert_rank;
  config.target_modules = shape.target_modules;
  const std::vector<std::string> targets = MatchTargets(modules, config);
  for (LinearShape* linear : there) {
    if (std::find(targets.begin(), targets.end(), linear->name) == targets.end()) continue;
    const bool expert = std::any_of(shapes.expert.begin(), shapes.expert.end(),
                                    [&](const LinearShape& e) { return &e == linear; });
    linear->r = expert ? ExpertRank(config, c) : shape.lora_r;
  }
  return shapes;
}

}  // namespace lorikeet
