// `Activations` are what the forward keeps for the backward, in one arena of a size known
// beforehand (plan/memory_plan.h).
#pragma once
#include <cstdint>
#include <vector>

#include "core/tensor.h"
#include "model/block.h"

namespace lorikeet {

enum class Recompute : uint8_t {
  kNone,   // keep every layer's activations
  kBlock,  // keep each layer's input only, recompute the layer in the backward: same bits
};

struct Activations {
  Recompute recompute = Recompute::kNone;
  std::vector<LayerActivations> layers;  // kNone
  std::vector<Tensor> inputs;            // (T, D) f32 each, kBlock
};

}  // namespace lorikeet
