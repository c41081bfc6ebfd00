#include "model/moe.h"

#include <algorithm>
#include <cstring>

#include "kernels/cast.h"
#include "kernels/expert_rows.h"
#include "kernels/swiglu.h"

namespace lorikeet {
namespace {

// The largest rank that the experts' modules of one kind have; 0: none is adapted.
int64_t LargestRank(const ExpertLayer& layer, Linear ExpertWeights::*module) {
  int64_t r = 0;
  for (const ExpertWeights& expert : layer.weights.experts) {
    const LoraPair* lora = layer.Lora(expert.*module);
    if (lora != nullptr) r = std::max(r, lora->r);
  }
  return r;
}

// The part (R, n) of one expert in a layer's low-rank products; empty without an adapter.
Tensor ExpertLowRank(const Tensor& all, const LoraPair* lora, int64_t begin, int64_t n) {
  if (lora == nullptr || !all) return Tensor();
  const int64_t at = begin * all.cols();
  CHECK(lora->r <= all.cols());
  return {static_cast<std::byte*>(all.data) + DTypeBytes(all.dtype, at), all.dtype, {lora->r, n}};
}

bool IsTrained(const ExpertLayer& layer, const Linear& linear) {
  const LoraPair* lora = layer.Lora(linear);
  return linear.dweight || (lora != nullptr && lora->da);
}

// Scratch that every expert uses in turn, with room for all tokens: routing may send them all to
// one.
struct Workspace {
  Tensor x, h;  // (T, D), (T, F) C
  Tensor y;     // (T, D) f32
};

Workspace TakeWorkspace(const ExpertLayer& layer) {
  const int64_t T = layer.T, D = layer.config.hidden_size, F = layer.config.moe_intermediate_size;
  return {layer.arena.Take("expert rows", layer.compute, {T, D}),
          layer.arena.Take("swiglu", layer.compute, {T, F}),
          layer.arena.Take("expert rows", DType::kF32, {T, D})};
}

struct BackwardWorkspace {
  Tensor dy;             // (T, D) C; then x
  Tensor dgate, dup, h;  // (T, F) C
  Tensor dh;             // (T, F) f32
  Tensor dx;             // (T, D) f32
  Tensor dweights;       // (N) f32
  // s (dy B) transposed, (R, n) of the expert at hand.
  Tensor gate_g, up_g, down_g;
};

BackwardWorkspace TakeBackwardWorkspace(const ExpertLayer& layer) {
  const int64_t T = layer.T, D = layer.config.hidden_size, F = layer.config.moe_intermediate_size;
  const DType C = layer.compute;
  BackwardWorkspace w;
  w.dy = layer.arena.Take("gradient operand", C, {T, D});
  w.dgate = layer.arena.Take("gradient operand", C, {T, F});
  w.dup = layer.arena.Take("gradient operand", C, {T, F});
  w.h = layer.arena.Take("swiglu", C, {T, F});
  w.dh = layer.arena.Take("gradient", DType::kF32, {T, F});
  w.dx = layer.arena.Take("gradient", DType::kF32, {T, D});
  w.dweights = layer.arena.Take("gradient", DType::kF32, {T * layer.config.num_experts_per_tok});
  const auto g = [&](Linear ExpertWeights::*module) {
    const int64_t r = LargestRank(layer, module);
    return r == 0 ? Tensor() : layer.arena.Take("lora products", C, {r, T});
  };
  w.gate_g = g(&ExpertWeights::gate_proj);
  w.up_g = g(&ExpertWeights::up_proj);
  w.down_g = g(&ExpertWeights::down_proj);
  return w;
}

// The rows of one expert, and its modules' products with them.
struct ExpertRun {
  const ExpertLayer& layer;
  const ExpertActivations& a;
  int64_t expert;

  const ExpertWeights& weights() const {
    return layer.weights.experts[static_cast<size_t>(expert)];
  }
  int64_t begin() const { return a.routing.Begin(expert); }
  int64_t n() const { return a.routing.Count(expert); }
  std::span<const int32_t> tokens() const { return a.routing.TokensOf(expert); }
  Tensor Mine(const Tensor& all) const { return all.Rows(begin(), begin() + n()); }
  Tensor LowRank(const Linear& linear, const Tensor& all) const {
    return ExpertLowRank(all, layer.Lora(linear), begin(), n());
  }
  Tensor G(const Linear& linear, const Tensor& space) const {
    return ExpertLowRank(space, layer.Lora(linear), 0, n());
  }

  void Forward(const Workspace& w, const Tensor& x, const Tensor& residual) const;
  void Backward(const BackwardWorkspace& w, const Tensor& x, const Tensor& dresidual,
                const Tensor& dx) const;
  void Project(const Linear& linear, const Tensor& x, const Tensor& y, const Tensor& kept) const {
    LinearForward(linear, layer.Lora(linear), x, y, false, LowRank(linear, kept), layer.arena);
  }
  void Input(const Linear& linear, const Tensor& dy, const Tensor& dx, bool accumulate,
             const Tensor& g_space) const {
    LinearBackwardInput(linear, layer.Lora(linear), dy, dx, accumulate, G(linear, g_space),
                        layer.arena);
  }
  void Weights(const Linear& linear, const Tensor& dy, const Tensor& x, const Tensor& kept,
               const Tensor& g_space) const {
    LinearBackwardWeights(linear, layer.Lora(linear), dy, x, LowRank(linear, kept),
                          G(linear, g_space));
  }
};

void ExpertRun::Forward(const Workspace& w, const Tensor& x, const Tensor& residual) const {
  const ExpertWeights& e = weights();
  const Tensor mine = w.x.Rows(0, n()), h = w.h.Rows(0, n()), y = w.y.Rows(0, n());
  const Tensor gate = Mine(a.gate), up = Mine(a.up);
  GatherRows(x, tokens(), mine);
  Project(e.gate_proj, mine, gate, a.gate_low_rank_t);
  Project(e.up_proj, mine, up, a.up_low_rank_t);
  WeightedSwigluForward(gate, up, Mine(a.routing.weights), h);
  Project(e.down_proj, h, y, a.down_low_rank_t);
  AddToRows(y, tokens(), residual);
}

void ExpertRun::Backward(const BackwardWorkspace& w, const Tensor& x, const Tensor& dresidual,
                         const Tensor& dx) const {
  const ExpertWeights& e = weights();
  const Tensor dy = w.dy.Rows(0, n()), dh = w.dh.Rows(0, n()), h = w.h.Rows(0, n());
  const Tensor dgate = w.dgate.Rows(0, n()), dup = w.dup.Rows(0, n());
  GatherRows(dresidual, tokens(), dy);
  Input(e.down_proj, dy, dh, false, w.down_g);
  WeightedSwigluBackward(dh, Mine(a.gate), Mine(a.up), Mine(a.routing.weights), dgate, dup, h,
                         Mine(w.dweights));
  Weights(e.down_proj, dy, h, a.down_low_rank_t, w.down_g);

  const Tensor rows = dx ? w.dx.Rows(0, n()) : Tensor();
  Input(e.gate_proj, dgate, rows, false, w.gate_g);
  Input(e.up_proj, dup, rows, true, w.up_g);
  if (dx) AddToRows(rows, tokens(), dx);
  const Tensor mine = dy;  // used up
  GatherRows(x, tokens(), mine);
  Weights(e.gate_proj, dgate, mine, a.gate_low_rank_t, w.gate_g);
  Weights(e.up_proj, dup, mine, a.up_low_rank_t, w.up_g);
}

void RouterBackward(const ExpertLayer& layer, const ExpertActivations& a, const Tensor& x,
                    const Tensor& dweights, const Tensor& dx) {
  const Linear& router = layer.weights.router;
  if (!dx && !IsTrained(layer, router)) return;
  const LoraPair* lora = layer.Lora(router);
  const Tensor dlogits =
      layer.arena.Take("gradient operand", layer.compute, {layer.T, layer.config.num_experts});
  const Tensor g = lora == nullptr
                       ? Tensor()
                       : layer.arena.Take("lora products", layer.compute, {lora->r, layer.T});
  RouteBackward(a.routing, dweights, layer.config.norm_topk_prob, dlogits);
  LinearBackwardInput(router, lora, dlogits, dx, true, g, layer.arena);
  LinearBackwardWeights(router, lora, dlogits, x, a.router_low_rank_t, g);
}

}  // namespace

ExpertActivations TakeExpertActivations(const ExpertLayer& layer) {
  const ModelConfig& c = layer.config;
  const int64_t T = layer.T, E = c.num_experts, k = c.num_experts_per_tok, N = T * k;
  const auto take = [&](DType dtype, std::initializer_list<int64_t> shape) {
    return layer.arena.Take("activations", dtype, shape);
  };
  ExpertActivations a;
  a.routing.probs = take(DType::kF32, {T, E});
  a.routing.experts = take(DType::kI32, {T, k});
  a.routing.weights = take(DType::kF32, {N});
  a.routing.tokens = take(DType::kI32, {N});
  a.routing.rows = take(DType::kI32, {T, k});
  a.routing.begins = take(DType::kI32, {E + 1});
  a.gate = take(layer.compute, {N, c.moe_intermediate_size});
  a.up = take(layer.compute, {N, c.moe_intermediate_size});
  if (const LoraPair* router = layer.Lora(layer.weights.router)) {
    a.router_low_rank_t = take(layer.compute, {router->r, T});
  }
  const auto low_rank = [&](Linear ExpertWeights::*module) {
    const int64_t r = LargestRank(layer, module);
    return r == 0 ? Tensor() : take(layer.compute, {N, ExpertLowRankWidth(r)});
  };
  a.gate_low_rank_t = low_rank(&ExpertWeights::gate_proj);
  a.up_low_rank_t = low_rank(&ExpertWeights::up_proj);
  a.down_low_rank_t = low_rank(&ExpertWeights::down_proj);
  return a;
}

void ExpertsForward(const ExpertLayer& layer, const Tensor& x, const ExpertActivations& a,
                    const Tensor& residual) {
  const ArenaScope scope(layer.arena);
  const Linear& router = layer.weights.router;
  const Tensor logits =
      layer.arena.Take("router logits", DType::kF32, {layer.T, layer.config.num_experts});
  LinearForward(router, layer.Lora(router), x, logits, false, a.router_low_rank_t, layer.arena);
  RouteForward(logits, layer.config.norm_topk_prob, a.routing);
  const Workspace workspace = TakeWorkspace(layer);
  for (int64_t e = 0; e < layer.config.num_experts; ++e) {
    if (a.routing.Count(e) > 0) ExpertRun{layer, a, e}.Forward(workspace, x, residual);
  }
}

void ExpertsBackward(const ExpertLayer& layer, const ExpertActivations& a, const Tensor& x,
                     const Tensor& dresidual, const Tensor& dx) {
  const ArenaScope scope(layer.arena);
  if (dx) std::memset(dx.data, 0, static_cast<size_t>(dx.bytes()));
  const BackwardWorkspace workspace = TakeBackwardWorkspace(layer);
  for (int64_t e = 0; e < layer.config.num_experts; ++e) {
    if (a.routing.Count(e) > 0) ExpertRun{layer, a, e}.Backward(workspace, x, dresidual, dx);
  }
  RouterBackward(layer, a, x, workspace.dweights, dx);
}

}  // namespace lorikeet
