// What the forward keeps for the backward. Everything lies in one arena, sized beforehand
// (plan/memory_plan.h). C = f32|bf16, the compute dtype.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "core/arena.h"
#include "kernels/expert_rows.h"
#include "model/config.h"
#include "model/lora.h"

namespace lorikeet {

enum class Recompute : uint8_t {
  kNone,   // keep every layer's activations
  kBlock,  // keep each layer's input only, run its forward again in the backward: same bits
};

// Positions of a layer's linears in LayerActivations::low_rank_t.
enum LinearIndex : uint8_t { kQ, kK, kV, kO, kGate, kUp, kDown, kLinearsPerLayer };

// Of a layer with experts: N = T k rows in the order of experts.
struct ExpertActivations {
  Routing routing;
  Tensor router_low_rank_t;  // (R, T) C, of an adapted router
  Tensor gate, up;           // (N, F) C
  // s (x A^T) transposed of each expert's rows, one after another (ExpertLowRank); C.
  Tensor gate_low_rank_t, up_low_rank_t, down_low_rank_t;
};

struct LayerActivations {
  Tensor xhat1, rstd1;                    // (T, D) C, (T) f32: input norm
  Tensor q, k, v;                         // (K, T, G, Dh), (K, T + padding, Dh) C, after rope
  Tensor q_xhat, q_rstd, k_xhat, k_rstd;  // (T, H*Dh) C, (T, H) f32: qwen3's head norms
  Tensor attention, lse;                  // (T, H*Dh) C, (K, T, G) f32
  Tensor xhat2, rstd2;                    // (T, D) C, (T) f32: post-attention norm
  Tensor gate, up;                        // (T, F) C; empty in a layer of experts
  ExpertActivations experts;              // empty in others
  std::array<Tensor, kLinearsPerLayer> low_rank_t;  // (R, T) C, of adapted linears
};

// Takes a layer's activations from the arena. adapter may be null; with_kv false leaves k and v to
// a cache.
LayerActivations TakeLayerActivations(const ModelConfig& config, const LayerWeights& layer,
                                      const LoraAdapter* adapter, DType compute, int64_t T,
                                      bool with_kv, Arena& arena);

struct Activations {
  Recompute recompute = Recompute::kNone;
  std::vector<LayerActivations> layers;  // kNone
  std::vector<Tensor> inputs;            // (T, D) f32 each, kBlock
};

}  // namespace lorikeet
