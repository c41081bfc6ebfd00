#include "model/linear_shapes.h"

#include <fmt/core.h>

namespace lorikeet {
namespace {

// The first layer with experts, or without; 0 when there is none.
int64_t FirstLayer(const ModelConfig& c, bool with_experts) {
  for (int64_t l = 0; l < c.num_hidden_layers; ++l) {
    if (c.has_experts(l) == with_experts) return l;
  }
  return 0;
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

}  // namespace lorikeet
