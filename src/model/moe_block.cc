#include "model/moe_block.h"

#include <algorithm>
#include <span>

#include "kernels/cast.h"
#include "kernels/swiglu.h"
#include "model/pass.h"

namespace lorikeet {
namespace {

// The largest rank that the experts' modules of one kind have; 0: none is adapted.
int64_t MaxRank(const Pass& pass, const MoeWeights& w, Linear ExpertWeights::*module) {
  int64_t r = 0;
  for (const ExpertWeights& expert : w.experts) {
    const LoraFactors* lora = pass.Lora(expert.*module);
    if (lora != nullptr) r = std::max(r, lora->r);
  }
  return r;
}

// The part (R, n) of one expert in a layer's low-rank products; empty without an adapter.
Tensor ExpertLowRank(const Tensor& all, const LoraFactors* lora, int64_t begin, int64_t n) {
  if (lora == nullptr || !all) return Tensor();
  const int64_t at = begin * all.cols();
  CHECK(lora->r <= all.cols());
  return {static_cast<std::byte*>(all.data) + DTypeBytes(all.dtype, at), all.dtype, {lora->r, n}};
}

// Scratch that every expert uses in turn, with room for all tokens: routing may send them all to
// one.
struct ForwardScratch {
  Tensor x, h;  // (T, D), (T, F) C
  Tensor y;     // (T, D) f32

  ForwardScratch(const Pass& pass, const MoeSpec& s)
      : x(pass.Take("expert rows", pass.compute(), s.hidden_size)),
        h(pass.Take("swiglu", pass.compute(), s.intermediate_size)),
        y(pass.Take("expert rows", DType::kF32, s.hidden_size)) {}
};

struct BackwardScratch {
  Tensor dy;             // (T, D) C; then x
  Tensor dgate, dup, h;  // (T, F) C
  Tensor dh;             // (T, F) f32
  Tensor dx;             // (T, D) f32
  Tensor dweights;       // (N) f32
  // s (dy B) transposed, (R, n) of the current expert.
  Tensor gate_lora_dy_t, up_lora_dy_t, down_lora_dy_t;

  BackwardScratch(const Pass& pass, const MoeWeights& w) {
    const MoeSpec& s = w.spec;
    const DType C = pass.compute();
    dy = pass.Take("gradient operand", C, s.hidden_size);
    dgate = pass.Take("gradient operand", C, s.intermediate_size);
    dup = pass.Take("gradient operand", C, s.intermediate_size);
    h = pass.Take("swiglu", C, s.intermediate_size);
    dh = pass.Take("gradient", DType::kF32, s.intermediate_size);
    dx = pass.Take("gradient", DType::kF32, s.hidden_size);
    dweights = pass.arena.Take("gradient", DType::kF32, {pass.T() * s.active});
    const auto lora_dy_t = [&](Linear ExpertWeights::*module) {
      const int64_t r = MaxRank(pass, w, module);
      return r == 0 ? Tensor() : pass.arena.Take("lora products", C, {r, pass.T()});
    };
    gate_lora_dy_t = lora_dy_t(&ExpertWeights::gate_proj);
    up_lora_dy_t = lora_dy_t(&ExpertWeights::up_proj);
    down_lora_dy_t = lora_dy_t(&ExpertWeights::down_proj);
  }
};

// The rows of one expert, and its modules' products with them.
struct ExpertRun {
  const Pass& pass;
  const ExpertWeights& weights;
  const MoeActivations& a;
  int64_t expert;

  int64_t begin() const { return a.routing.Begin(expert); }
  int64_t n() const { return a.routing.Count(expert); }
  std::span<const int32_t> tokens() const { return a.routing.TokensOf(expert); }
  // This expert's rows of a tensor with N rows.
  Tensor OwnRows(const Tensor& all) const { return all.Rows(begin(), begin() + n()); }
  Tensor LoraX(const Linear& linear, const Tensor& all) const {
    return ExpertLowRank(all, pass.Lora(linear), begin(), n());
  }
  Tensor LoraDy(const Linear& linear, const Tensor& scratch) const {
    return ExpertLowRank(scratch, pass.Lora(linear), 0, n());
  }

  void Forward(const ForwardScratch& s, const Tensor& x, const Tensor& residual) const;
  void Backward(const BackwardScratch& s, const Tensor& x, const Tensor& dresidual,
                const Tensor& dx) const;
  void Project(const Linear& linear, const Tensor& x, const Tensor& y, const Tensor& kept) const {
    pass.Project(linear, tokens(), x, y, false, LoraX(linear, kept));
  }
  void BackwardInput(const Linear& linear, const Tensor& dy, const Tensor& dx, bool accumulate,
                     const Tensor& lora_dy_t) const {
    pass.BackwardInput(linear, dy, dx, accumulate, LoraDy(linear, lora_dy_t));
  }
  void BackwardWeights(const Linear& linear, const Tensor& dy, const Tensor& x, const Tensor& kept,
                       const Tensor& lora_dy_t) const {
    pass.BackwardWeights(linear, dy, x, LoraX(linear, kept), LoraDy(linear, lora_dy_t));
  }
};

void ExpertRun::Forward(const ForwardScratch& s, const Tensor& x, const Tensor& residual) const {
  const Tensor own = s.x.Rows(0, n()), h = s.h.Rows(0, n()), y = s.y.Rows(0, n());
  const Tensor gate = OwnRows(a.gate), up = OwnRows(a.up);
  GatherRows(x, tokens(), own);
  Project(weights.gate_proj, own, gate, a.gate_lora_x_t);
  Project(weights.up_proj, own, up, a.up_lora_x_t);
  WeightedSwigluForward(gate, up, OwnRows(a.routing.weights), h);
  Project(weights.down_proj, h, y, a.down_lora_x_t);
  AddToRows(y, tokens(), residual);
}

void ExpertRun::Backward(const BackwardScratch& s, const Tensor& x, const Tensor& dresidual,
                         const Tensor& dx) const {
  const Tensor dy = s.dy.Rows(0, n()), dh = s.dh.Rows(0, n()), h = s.h.Rows(0, n());
  const Tensor dgate = s.dgate.Rows(0, n()), dup = s.dup.Rows(0, n());
  GatherRows(dresidual, tokens(), dy);
  BackwardInput(weights.down_proj, dy, dh, false, s.down_lora_dy_t);
  WeightedSwigluBackward(dh, OwnRows(a.gate), OwnRows(a.up), OwnRows(a.routing.weights), dgate, dup,
                         h, OwnRows(s.dweights));
  BackwardWeights(weights.down_proj, dy, h, a.down_lora_x_t, s.down_lora_dy_t);

  const Tensor rows = dx ? s.dx.Rows(0, n()) : Tensor();
  BackwardInput(weights.gate_proj, dgate, rows, false, s.gate_lora_dy_t);
  BackwardInput(weights.up_proj, dup, rows, true, s.up_lora_dy_t);
  if (dx) AddToRows(rows, tokens(), dx);
  const Tensor own = dy;  // scratch by now
  GatherRows(x, tokens(), own);
  BackwardWeights(weights.gate_proj, dgate, own, a.gate_lora_x_t, s.gate_lora_dy_t);
  BackwardWeights(weights.up_proj, dup, own, a.up_lora_x_t, s.up_lora_dy_t);
}

void RouterBackward(const Pass& pass, const MoeWeights& w, const MoeActivations& a, const Tensor& x,
                    const Tensor& dweights, const Tensor& dx) {
  if (!dx && !pass.IsTrained(w.router)) return;
  const Tensor dlogits = pass.Take("gradient operand", pass.compute(), w.spec.experts);
  const Tensor lora_dy_t = pass.TakeLoraDy(w.router);
  RouteBackward(a.routing, dweights, w.spec.norm_topk_prob, dlogits);
  pass.BackwardInput(w.router, dlogits, dx, true, lora_dy_t);
  pass.BackwardWeights(w.router, dlogits, x, a.router_lora_x_t, lora_dy_t);
}

}  // namespace

void DeclareWeights(const MoeSpec& s, const std::string& prefix, const WeightVisitor& visit,
                    MoeWeights* w) {
  const int64_t D = s.hidden_size, F = s.intermediate_size;
  w->spec = s;
  w->experts.resize(static_cast<size_t>(s.experts));
  const std::string block = prefix + s.names->block;
  const auto linear = [&](Linear* to, const std::string& name, int64_t out, int64_t in, bool adds) {
    to->name = name;
    visit.linear({to, out, in, /*bias=*/false, adds});
  };
  linear(&w->router, block + ".gate", s.experts, D, false);
  for (int64_t e = 0; e < s.experts; ++e) {
    const std::string name = block + ".experts." + std::to_string(e) + ".";
    ExpertWeights& expert = w->experts[static_cast<size_t>(e)];
    linear(&expert.gate_proj, name + s.names->gate_proj, F, D, false);
    linear(&expert.up_proj, name + s.names->up_proj, F, D, false);
    linear(&expert.down_proj, name + s.names->down_proj, D, F, true);
  }
}

MoeActivations TakeActivations(const Pass& pass, const MoeWeights& w) {
  const MoeSpec& s = w.spec;
  const int64_t T = pass.T(), E = s.experts, k = s.active, N = T * k;
  const auto take = [&](DType dtype, std::initializer_list<int64_t> shape) {
    return pass.arena.Take("activations", dtype, shape);
  };
  MoeActivations a;
  a.routing.probs = take(DType::kF32, {T, E});
  a.routing.experts = take(DType::kI32, {T, k});
  a.routing.weights = take(DType::kF32, {N});
  a.routing.tokens = take(DType::kI32, {N});
  a.routing.rows = take(DType::kI32, {T, k});
  a.routing.begins = take(DType::kI32, {E + 1});
  a.gate = take(pass.compute(), {N, s.intermediate_size});
  a.up = take(pass.compute(), {N, s.intermediate_size});
  a.router_lora_x_t = pass.TakeLoraX(w.router);
  const auto lora_x_t = [&](Linear ExpertWeights::*module) {
    const int64_t r = MaxRank(pass, w, module);
    return r == 0 ? Tensor() : take(pass.compute(), {N, ExpertLowRankWidth(r)});
  };
  a.gate_lora_x_t = lora_x_t(&ExpertWeights::gate_proj);
  a.up_lora_x_t = lora_x_t(&ExpertWeights::up_proj);
  a.down_lora_x_t = lora_x_t(&ExpertWeights::down_proj);
  return a;
}

void BlockForward(const Pass& pass, const MoeWeights& w, const Tensor& x, const MoeActivations& a,
                  const Tensor& residual) {
  const Tensor logits = pass.Take("router logits", DType::kF32, w.spec.experts);
  pass.Project(w.router, x, logits, false, a.router_lora_x_t);
  RouteForward(logits, w.spec.norm_topk_prob, a.routing);
  const ForwardScratch scratch(pass, w.spec);
  for (int64_t e = 0; e < w.spec.experts; ++e) {
    if (a.routing.Count(e) == 0) continue;
    ExpertRun{pass, w.experts[static_cast<size_t>(e)], a, e}.Forward(scratch, x, residual);
  }
}

void BlockBackward(const Pass& pass, const MoeWeights& w, const NormedInput& input,
                   const MoeActivations& a, const Tensor& dresidual, const Tensor& dx,
                   bool accumulate) {
  const Tensor x = pass.Take("normed input", pass.compute(), w.spec.hidden_size);
  input.Write(x);
  if (dx && !accumulate) Zero(dx);
  const BackwardScratch scratch(pass, w);
  for (int64_t e = 0; e < w.spec.experts; ++e) {
    if (a.routing.Count(e) == 0) continue;
    ExpertRun{pass, w.experts[static_cast<size_t>(e)], a, e}.Backward(scratch, x, dresidual, dx);
  }
  RouterBackward(pass, w, a, x, scratch.dweights, dx);
}

}  // namespace lorikeet
