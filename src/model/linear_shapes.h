// The linear layers of a model as shapes alone: what plans and costs are reckoned from.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "model/config.h"

namespace lorikeet {

// Positions in LinearShapes::layer.
enum LinearIndex : uint8_t { kQ, kK, kV, kO, kGate, kUp, kDown, kLinearsPerLayer };

struct LinearShape {
  std::string name;  // module path; the layers' under that of the first layer that has it
  int64_t in, out;
  int64_t r = 0;  // rank of its adapter, 0: none
};

struct LinearShapes {
  // By LinearIndex, alike in every layer that has them: attention in all, the MLP in dense ones.
  std::array<LinearShape, kLinearsPerLayer> layer;
  // Of layers with experts: the router, and gate, up and down of each expert.
  LinearShape router;
  std::array<LinearShape, 3> expert;
  LinearShape head;
};

LinearShapes PlainShapes(const ModelConfig& config);

// fn(linear, how many there are in all layers, how many of them meet a token); without the head.
template <class Fn>
void ForEachShape(const ModelConfig& c, const LinearShapes& shapes, const Fn& fn) {
  const int64_t L = c.num_hidden_layers, experts = c.num_expert_layers();
  for (size_t i = 0; i < kLinearsPerLayer; ++i) {
    const int64_t count = i < kGate ? L : L - experts;
    if (count > 0) fn(shapes.layer[i], count, count);
  }
  if (experts == 0) return;
  fn(shapes.router, experts, experts);
  for (const LinearShape& linear : shapes.expert) {
    fn(linear, experts * c.num_experts, experts * c.num_experts_per_tok);
  }
}

}  // namespace lorikeet
