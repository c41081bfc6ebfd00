#include "plan/adapted_shapes.h"

#include <algorithm>
#include <string>
#include <vector>

namespace lorikeet {
namespace {

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
