#include "model/transformer.h"

#include "core/float16.h"
#include "core/yield.h"
#include "kernels/cast.h"
#include "kernels/embedding.h"
#include "model/pass.h"

namespace lorikeet {
namespace {

SublayerActivations TakeSublayer(const Pass& pass, const Sublayer& sublayer) {
  SublayerActivations a;
  a.xhat = pass.Take("activations", pass.compute(), pass.config().hidden_size);
  if (sublayer.has_norm()) a.rstd = pass.arena.Take("activations", DType::kF32, {pass.T()});
  for (const BlockWeights& branch : sublayer.branches) {
    a.branches.push_back(std::visit(
        [&](const auto& w) { return BlockActivations(TakeActivations(pass, w)); }, branch));
  }
  if (sublayer.has_norm_after()) {
    a.after_xhat = pass.Take("activations", pass.compute(), pass.config().hidden_size);
    a.after_rstd = pass.arena.Take("activations", DType::kF32, {pass.T()});
  }
  return a;
}

LayerActivations TakeLayer(const Pass& pass, const LayerWeights& layer) {
  LayerActivations a;
  a.reserve(layer.sublayers.size());
  for (const Sublayer& sublayer : layer.sublayers) a.push_back(TakeSublayer(pass, sublayer));
  return a;
}

// fn(weights, activations) with the kind that both of a branch have.
template <class Fn>
void VisitBranch(const BlockWeights& weights, const BlockActivations& activations, const Fn& fn) {
  std::visit(
      [&](const auto& w) {
        using A = decltype(TakeActivations(std::declval<const Pass&>(), w));
        fn(w, std::get<A>(activations));
      },
      weights);
}

// The branches' input: norm(residual), or the residual itself.
Tensor BranchInput(const Pass& pass, const Sublayer& sublayer, const Tensor& residual,
                   const SublayerActivations& a) {
  if (!sublayer.has_norm()) {
    Convert(residual, a.xhat);
    return a.xhat;
  }
  const Norm& norm = sublayer.norm;
  const Tensor x = pass.Take("normed input", pass.compute(), residual.cols());
  NormForward(norm, residual, pass.config().rms_norm_eps, a.xhat, x, a.rstd);
  return x;
}

// residual += the branches' outputs. They are products that add to the residual themselves, unless
// their sum is to be normed or multiplied.
void SublayerForward(const Pass& pass, const Sublayer& sublayer, const Tensor& residual,
                     const SublayerActivations& a) {
  const ArenaScope scope(pass.arena);
  const Tensor x = BranchInput(pass, sublayer, residual, a);
  const bool direct = !sublayer.has_norm_after() && sublayer.multiplier == 1;
  Tensor sum = residual;
  if (!direct) {
    sum = pass.Take("branch", DType::kF32, residual.cols());
    Zero(sum);
  }
  for (size_t i = 0; i < sublayer.branches.size(); ++i) {
    VisitBranch(sublayer.branches[i], a.branches[i], [&](const auto& w, const auto& kept) {
      const ArenaScope branch_scope(pass.arena);
      BlockForward(pass, w, x, kept, sum);
    });
  }
  if (direct) return;
  if (!sublayer.has_norm_after()) {
    Scale(sum, sublayer.multiplier);
    AddInto(residual, sum);
    return;
  }
  const Norm& after = sublayer.norm_after;
  NormAdd(after, sum, pass.config().rms_norm_eps, a.after_xhat, residual, a.after_rstd);
}

// dresidual += the gradient through the branches, when `below` asks for it.
void SublayerBackward(const Pass& pass, const Sublayer& sublayer, const SublayerActivations& a,
                      const Tensor& dresidual, bool below) {
  const ArenaScope scope(pass.arena);
  const Norm &norm = sublayer.norm, &after = sublayer.norm_after;
  Tensor dsum = dresidual;  // the gradient of the branches' sum
  if (!sublayer.has_norm_after() && sublayer.multiplier != 1) {
    dsum = pass.Take("gradient", DType::kF32, dresidual.cols());
    Convert(dresidual, dsum);
    Scale(dsum, sublayer.multiplier);
  }
  // Without a norm before them the branches add to the gradient of the residual directly.
  const bool adds = !sublayer.has_norm();
  CHECK(!adds || sublayer.has_norm_after());
  const Tensor dx = !below ? Tensor()
                    : adds ? dresidual
                           : pass.Take("gradient", DType::kF32, dresidual.cols());
  if (sublayer.has_norm_after()) {
    dsum = pass.Take("gradient", DType::kF32, dresidual.cols());
    Zero(dsum);
    NormBackward(after, dresidual, a.after_xhat, a.after_rstd, dsum);
  }
  for (size_t i = 0; i < sublayer.branches.size(); ++i) {
    VisitBranch(sublayer.branches[i], a.branches[i], [&](const auto& w, const auto& kept) {
      const ArenaScope branch_scope(pass.arena);
      const NormedInput input{a.xhat, adds ? nullptr : &norm};
      BlockBackward(pass, w, input, kept, dsum, dx, /*accumulate=*/adds || i > 0);
    });
  }
  if (below && !adds) {
    NormBackward(norm, dx, a.xhat, a.rstd, dresidual);
  }
}

void LayerForward(const Pass& pass, const LayerWeights& layer, const Tensor& residual,
                  const LayerActivations& a) {
  for (size_t i = 0; i < layer.sublayers.size(); ++i) {
    SublayerForward(pass, layer.sublayers[i], residual, a[i]);
  }
}

bool HasTrained(const Pass& pass, const Sublayer& sublayer) {
  bool any = false;
  ForEachLinear(sublayer, [&](const Linear& linear) { any = any || pass.IsTrained(linear); });
  return any;
}

// below: something under this layer is trained.
void LayerBackward(const Pass& pass, const LayerWeights& layer, const LayerActivations& a,
                   const Tensor& dresidual, bool below) {
  std::vector<bool> below_sublayer;  // true if a module below it is trained
  for (const Sublayer& sublayer : layer.sublayers) {
    below_sublayer.push_back(below);
    below = below || HasTrained(pass, sublayer);
  }
  for (size_t i = layer.sublayers.size(); i-- > 0;) {
    const Sublayer& sublayer = layer.sublayers[i];
    if (!below_sublayer[i] && !HasTrained(pass, sublayer)) return;
    SublayerBackward(pass, sublayer, a[i], dresidual, below_sublayer[i]);
  }
}

// The lowest layer with something to train; L when there is none.
int64_t LowestTrained(const Pass& pass) {
  const auto& layers = pass.model.weights().layers;
  for (size_t l = 0; l < layers.size(); ++l) {
    for (const Sublayer& sublayer : layers[l].sublayers) {
      if (HasTrained(pass, sublayer)) return static_cast<int64_t>(l);
    }
  }
  return static_cast<int64_t>(layers.size());
}

// Some reference implementations multiply by a factor in the compute dtype.
float EmbeddingFactor(const Model& model) {
  const auto factor = static_cast<float>(model.config().embedding_multiplier);
  const bool rounded = model.config().rounds_embedding_multiplier;
  return rounded && model.compute() == DType::kBF16 ? ToFloat(ToBfloat16(factor)) : factor;
}

// Memory that outlives the forward: the layers' inputs or all of their activations.
void TakeKept(const Pass& pass, Activations* keep) {
  keep->layers.clear();
  keep->inputs.clear();
  for (const LayerWeights& layer : pass.model.weights().layers) {
    if (keep->recompute == Recompute::kBlock) {
      keep->inputs.push_back(pass.Take("layer inputs", DType::kF32, pass.config().hidden_size));
    } else {
      keep->layers.push_back(TakeLayer(pass, layer));
    }
  }
}

}  // namespace

Tensor Forward(const Model& model, const Batch& batch, const ForwardOptions& options,
               Arena& arena) {
  CHECK(options.keep == nullptr || options.cache == nullptr);
  const std::vector<AdapterRows> all = AllRows(options.adapter, batch.num_tokens());
  const std::span<const AdapterRows> adapters =
      options.adapter_rows.empty() ? std::span<const AdapterRows>(all) : options.adapter_rows;
  CHECK(options.adapter == nullptr || options.adapter_rows.empty());
  CHECK(options.keep == nullptr || options.adapter_rows.empty());
  const Tensor residual =
      arena.Take("residual", DType::kF32, {batch.num_tokens(), model.config().hidden_size});
  EmbeddingForward(batch.tokens, model.weights().embed_tokens, residual, EmbeddingFactor(model));
  Activations* keep = options.keep;
  if (keep != nullptr) {
    TakeKept(Pass{model, batch, adapters, nullptr, nullptr, {}, arena}, keep);
  }
  const ArenaScope scope(arena);  // everything below is scratch
  const Pass pass = MakePass(model, batch, adapters, nullptr, options.cache, options.states, arena);
  const auto& layers = model.weights().layers;
  for (size_t l = 0; l < layers.size(); ++l) {
    YieldPoint(Yield::kLayer);
    const ArenaScope layer_scope(arena);
    const bool kept = keep != nullptr && keep->recompute == Recompute::kNone;
    if (keep != nullptr && !kept) Convert(residual, keep->inputs[l]);
    LayerForward(pass, layers[l], residual, kept ? keep->layers[l] : TakeLayer(pass, layers[l]));
    if (options.on_layer) options.on_layer(static_cast<int64_t>(l), residual);
  }
  return residual;
}

void Backward(const Model& model, const Batch& batch, const LoraTraining* training,
              const Activations& kept, const Tensor& dresidual, Arena& arena) {
  const ArenaScope scope(arena);
  const std::vector<AdapterRows> adapters =
      AllRows(training == nullptr ? nullptr : &training->weights(), batch.num_tokens());
  const Pass pass = MakePass(model, batch, adapters, training, nullptr, {}, arena);
  const bool full = static_cast<bool>(model.weights().dembed_tokens);
  const int64_t lowest = full ? 0 : LowestTrained(pass);
  const auto& layers = model.weights().layers;
  for (int64_t l = std::ssize(layers) - 1; l >= lowest; --l) {
    YieldPoint(Yield::kLayer);
    const auto i = static_cast<size_t>(l);
    const ArenaScope layer_scope(arena);
    const bool below = full || l > lowest;
    if (kept.recompute == Recompute::kNone) {
      LayerBackward(pass, layers[i], kept.layers[i], dresidual, below);
      continue;
    }
    const LayerActivations again = TakeLayer(pass, layers[i]);
    LayerForward(pass, layers[i], kept.inputs[i], again);  // overwrites the input: its last use
    LayerBackward(pass, layers[i], again, dresidual, below);
  }
  if (!full) return;
  EmbeddingBackward(batch.tokens, dresidual, model.weights().dembed_tokens, EmbeddingFactor(model));
}

}  // namespace lorikeet
