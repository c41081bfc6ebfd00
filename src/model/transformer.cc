#include "model/transformer.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/attention.h"
#include "kernels/cast.h"
#include "kernels/embedding.h"
#include "kernels/heads.h"
#include "kernels/rms_norm.h"
#include "kernels/swiglu.h"
#include "model/moe.h"

namespace lorikeet {
namespace {

// What every layer of one pass needs.
struct Pass {
  const Model& model;
  const Batch& batch;
  const LoraAdapter* adapter;
  KvCache* cache;
  std::span<const int> slots;
  Arena& arena;
  Tensor cos, sin;                  // (T, Dh/2) f32
  std::vector<int64_t> cache_rows;  // (T) destination rows in the cache

  const ModelConfig& config() const { return model.config(); }
  DType compute() const { return model.compute(); }
  int64_t T() const { return batch.num_tokens(); }
  const LoraPair* Lora(const Linear& linear) const {
    return adapter == nullptr ? nullptr : adapter->Find(linear);
  }
  AttentionShape Attention() const {
    return {config().num_key_value_heads, config().group(), config().head_dim,
            1.0F / std::sqrt(static_cast<float>(config().head_dim))};
  }
};

Pass MakePass(const Model& model, const Batch& batch, const LoraAdapter* adapter, KvCache* cache,
              std::span<const int> slots, Arena& arena) {
  Pass pass{model, batch, adapter, cache, slots, arena, {}, {}, {}};
  const int64_t T = batch.num_tokens(), half = model.config().head_dim / 2;
  pass.cos = arena.Take("rope table", DType::kF32, {T, half});
  pass.sin = arena.Take("rope table", DType::kF32, {T, half});
  model.rope().FillCosSin(batch.positions, pass.cos, pass.sin);
  if (cache == nullptr) return pass;
  const int64_t K = model.config().num_key_value_heads;
  for (int64_t s = 0; s < batch.num_sequences(); ++s) {
    for (int32_t t = batch.cu_seqlens[s]; t < batch.cu_seqlens[s + 1]; ++t) {
      CHECK(batch.positions[t] < cache->capacity());
      pass.cache_rows.push_back(slots[s] * K * cache->capacity() + batch.positions[t]);
    }
  }
  return pass;
}

// Where each sequence's keys and values lie: in the batch, or in its slot of the cache.
std::vector<AttentionSequence> Sequences(const Pass& pass, const Tensor& k, const Tensor& v) {
  const int64_t K = pass.config().num_key_value_heads, Dh = pass.config().head_dim;
  std::vector<AttentionSequence> sequences;
  std::vector<int64_t> index;  // of each sequence of the batch; empty ones are left out
  for (int64_t s = 0; s < pass.batch.num_sequences(); ++s) {
    const int64_t begin = pass.batch.cu_seqlens[s], end = pass.batch.cu_seqlens[s + 1];
    index.push_back(static_cast<int64_t>(sequences.size()));
    if (begin == end) continue;
    const int64_t rows = pass.cache == nullptr ? k.shape[1] : pass.cache->capacity();
    const int64_t first = pass.cache == nullptr ? begin : pass.slots[s] * K * rows;
    const auto at = [&](const Tensor& t) {
      return static_cast<const std::byte*>(t.data) + DTypeBytes(t.dtype, first * Dh);
    };
    const int64_t prefix = pass.batch.PrefixOf(s);
    CHECK(prefix < s && (prefix < 0 || pass.cache == nullptr));
    const bool alone = pass.cache == nullptr && prefix < 0;
    const int64_t kv_len = alone ? end - begin : pass.batch.positions[end - 1] + 1;
    sequences.push_back({begin, end - begin, kv_len, at(k), at(v), rows * Dh,
                         prefix < 0 ? -1 : index[static_cast<size_t>(prefix)]});
  }
  return sequences;
}

// The destination of keys or values: the kept tensor, or this batch's rows of the cache.
HeadRows KvDestination(const Pass& pass, const Tensor& kept, const Tensor& cached) {
  const int64_t K = pass.config().num_key_value_heads, Dh = pass.config().head_dim, T = pass.T();
  if (pass.cache != nullptr) {
    const Tensor space(cached.data, cached.dtype, {K, pass.cache->capacity(), 1, Dh});
    return HeadRows(space, pass.cache_rows);
  }
  return HeadRows(Tensor(kept.data, kept.dtype, {K, kept.shape[1], 1, Dh}), T);
}

// Attention blocks read up to kAttentionPadding rows behind the last key.
void ZeroPadding(const Tensor& kv, int64_t T) {
  const int64_t K = kv.shape[0], rows = kv.shape[1], Dh = kv.shape[2];
  for (int64_t k = 0; k < K; ++k) {
    std::memset(static_cast<std::byte*>(kv.data) + DTypeBytes(kv.dtype, (k * rows + T) * Dh), 0,
                static_cast<size_t>(DTypeBytes(kv.dtype, (rows - T) * Dh)));
  }
}

HeadNorm NormOf(const Norm& norm, float eps, const Tensor& xhat, const Tensor& rstd) {
  return {norm.weight, eps, xhat, rstd};
}

// y = x + W x: what a linear does in this pass.
void Project(const Pass& pass, const Linear& linear, const Tensor& x, const Tensor& y,
             bool accumulate, const Tensor& low_rank_t) {
  LinearForward(linear, pass.Lora(linear), x, y, accumulate, low_rank_t, pass.arena);
}

void AttentionPartForward(const Pass& pass, int64_t l, const Tensor& residual,
                          const LayerActivations& a) {
  const ModelConfig& c = pass.config();
  const LayerWeights& w = pass.model.weights().layers[static_cast<size_t>(l)];
  const ArenaScope scope(pass.arena);
  const int64_t T = pass.T();
  const Tensor y = pass.arena.Take("normed input", pass.compute(), {T, c.hidden_size});
  RmsNormForward(residual, w.input_layernorm.weight, c.rms_norm_eps, a.xhat1, y, a.rstd1);

  const HeadRope rope{pass.cos, pass.sin};
  const HeadNorm q_norm = NormOf(w.q_norm, c.rms_norm_eps, a.q_xhat, a.q_rstd);
  const HeadNorm k_norm = NormOf(w.k_norm, c.rms_norm_eps, a.k_xhat, a.k_rstd);
  const Tensor k = pass.cache == nullptr ? a.k : pass.cache->k(l);
  const Tensor v = pass.cache == nullptr ? a.v : pass.cache->v(l);
  const auto split = [&](const Linear& linear, int64_t width, LinearIndex index,
                         const HeadNorm* norm, const HeadRope* turn, const HeadRows& to) {
    const ArenaScope product_scope(pass.arena);
    const Tensor product = pass.arena.Take("projection", DType::kF32, {T, width});
    Project(pass, linear, y, product, false, a.low_rank_t[index]);
    SplitHeadsForward(product, norm, turn, to);
  };
  split(w.q_proj, c.q_size(), kQ, c.qk_norm ? &q_norm : nullptr, &rope, a.q);
  split(w.k_proj, c.kv_size(), kK, c.qk_norm ? &k_norm : nullptr, &rope,
        KvDestination(pass, a.k, k));
  split(w.v_proj, c.kv_size(), kV, nullptr, nullptr, KvDestination(pass, a.v, v));
  if (pass.cache == nullptr) {
    ZeroPadding(a.k, T);
    ZeroPadding(a.v, T);
  }
  AttentionForward(pass.Attention(), a.q, Sequences(pass, k, v), a.attention, a.lse);
  Project(pass, w.o_proj, a.attention, residual, true, a.low_rank_t[kO]);
}

ExpertLayer ExpertsOf(const Pass& pass, const LayerWeights& weights) {
  return {pass.config(), weights, pass.adapter, pass.compute(), pass.T(), pass.arena};
}

void MlpPartForward(const Pass& pass, int64_t l, const Tensor& residual,
                    const LayerActivations& a) {
  const ModelConfig& c = pass.config();
  const LayerWeights& w = pass.model.weights().layers[static_cast<size_t>(l)];
  const ArenaScope scope(pass.arena);
  const int64_t T = pass.T(), D = c.hidden_size, F = c.intermediate_size;
  const Tensor y = pass.arena.Take("normed input", pass.compute(), {T, D});
  RmsNormForward(residual, w.post_attention_layernorm.weight, c.rms_norm_eps, a.xhat2, y, a.rstd2);
  if (!w.experts.empty()) {
    ExpertsForward(ExpertsOf(pass, w), y, a.experts, residual);
    return;
  }
  const Tensor h = pass.arena.Take("swiglu", pass.compute(), {T, F});
  if (c.mlp_bias) {  // which is added in f32
    const Tensor gate = pass.arena.Take("projection", DType::kF32, {T, F});
    const Tensor up = pass.arena.Take("projection", DType::kF32, {T, F});
    Project(pass, w.gate_proj, y, gate, false, a.low_rank_t[kGate]);
    Project(pass, w.up_proj, y, up, false, a.low_rank_t[kUp]);
    SwigluForward(gate, up, a.gate, a.up, h);
  } else {
    Project(pass, w.gate_proj, y, a.gate, false, a.low_rank_t[kGate]);
    Project(pass, w.up_proj, y, a.up, false, a.low_rank_t[kUp]);
    SwigluRecompute(a.gate, a.up, h);
  }
  Project(pass, w.down_proj, h, residual, true, a.low_rank_t[kDown]);
}

void LayerForward(const Pass& pass, int64_t l, const Tensor& residual, const LayerActivations& a) {
  AttentionPartForward(pass, l, residual, a);
  MlpPartForward(pass, l, residual, a);
}

LayerActivations TakeLayer(const Pass& pass, int64_t l) {
  const LayerWeights& w = pass.model.weights().layers[static_cast<size_t>(l)];
  LayerActivations a = TakeLayerActivations(pass.config(), w, pass.adapter, pass.compute(),
                                            pass.T(), pass.cache == nullptr, pass.arena);
  if (!w.experts.empty()) a.experts = TakeExpertActivations(ExpertsOf(pass, w));
  return a;
}

// Backward through one linear: dx (if wanted), then the gradients of its weights from x.
// `x` is called after dx is there: what it returns may share the pass that produced dx.
struct Differentiated {
  const Pass& pass;

  Tensor TakeG(const Linear& linear) const {
    const LoraPair* lora = pass.Lora(linear);
    if (lora == nullptr) return Tensor();
    return pass.arena.Take("lora products", pass.compute(), {lora->r, pass.T()});
  }
  void Input(const Linear& linear, const Tensor& dy, const Tensor& dx, bool accumulate,
             const Tensor& g_t) const {
    LinearBackwardInput(linear, pass.Lora(linear), dy, dx, accumulate, g_t, pass.arena);
  }
  void Weights(const Linear& linear, const Tensor& dy, const Tensor& x, const Tensor& low_rank_t,
               const Tensor& g_t) const {
    LinearBackwardWeights(linear, pass.Lora(linear), dy, x, low_rank_t, g_t);
  }
};

bool IsTrained(const Pass& pass, const Linear& linear) {
  const LoraPair* lora = pass.Lora(linear);
  return linear.dweight || (lora != nullptr && lora->da);
}

// Which parts of a layer hold something to train.
struct Extent {
  bool attention, mlp;
};
Extent ExtentOf(const Pass& pass, const LayerWeights& w) {
  const std::vector<const Linear*> linears = LinearsOf(w);
  const auto any = [&](size_t begin, size_t end) {
    return std::any_of(linears.begin() + static_cast<int64_t>(begin),
                       linears.begin() + static_cast<int64_t>(end),
                       [&](const Linear* linear) { return IsTrained(pass, *linear); });
  };
  return {any(0, kGate), any(kGate, linears.size())};
}

// MlpPartBackward of a layer of experts.
void ExpertPartBackward(const Pass& pass, const LayerWeights& w, const LayerActivations& a,
                        const Tensor& dresidual, bool below) {
  const ArenaScope scope(pass.arena);
  const int64_t T = pass.T(), D = pass.config().hidden_size;
  const Tensor x = pass.arena.Take("normed input", pass.compute(), {T, D});
  const Tensor dx = below ? pass.arena.Take("gradient", DType::kF32, {T, D}) : Tensor();
  RmsNormScale(a.xhat2, w.post_attention_layernorm.weight, x);
  ExpertsBackward(ExpertsOf(pass, w), a.experts, x, dresidual, dx);
  if (!below) return;
  RmsNormBackward(dx, a.xhat2, w.post_attention_layernorm.weight, a.rstd2, dresidual,
                  w.post_attention_layernorm.dweight);
}

// dresidual += gradient through the MLP's branch, when `below` wants it.
void MlpPartBackward(const Pass& pass, int64_t l, const LayerActivations& a,
                     const Tensor& dresidual, bool below) {
  const ModelConfig& c = pass.config();
  const LayerWeights& w = pass.model.weights().layers[static_cast<size_t>(l)];
  if (!w.experts.empty()) {
    ExpertPartBackward(pass, w, a, dresidual, below);
    return;
  }
  const ArenaScope scope(pass.arena);
  const Differentiated d{pass};
  const int64_t T = pass.T(), D = c.hidden_size, F = c.intermediate_size;
  const auto take = [&](const char* name, DType dtype, int64_t cols) {
    return pass.arena.Take(name, dtype, {T, cols});
  };
  const Tensor dy = take("gradient operand", pass.compute(), D);
  Convert(dresidual, dy);
  const Tensor dh = take("gradient", DType::kF32, F);
  const Tensor down_g = d.TakeG(w.down_proj);
  d.Input(w.down_proj, dy, dh, false, down_g);

  const Tensor dgate = take("gradient operand", pass.compute(), F);
  const Tensor dup = take("gradient operand", pass.compute(), F);
  const Tensor h = take("swiglu", pass.compute(), F);
  SwigluBackward(dh, a.gate, a.up, dgate, dup, h);
  d.Weights(w.down_proj, dy, h, a.low_rank_t[kDown], down_g);

  const Tensor gate_g = d.TakeG(w.gate_proj), up_g = d.TakeG(w.up_proj);
  const Tensor dx = below ? take("gradient", DType::kF32, D) : Tensor();
  d.Input(w.gate_proj, dgate, dx, false, gate_g);
  d.Input(w.up_proj, dup, dx, true, up_g);
  const Tensor x = dy;  // used up: the norm's output takes its place
  RmsNormScale(a.xhat2, w.post_attention_layernorm.weight, x);
  d.Weights(w.gate_proj, dgate, x, a.low_rank_t[kGate], gate_g);
  d.Weights(w.up_proj, dup, x, a.low_rank_t[kUp], up_g);
  if (!below) return;
  RmsNormBackward(dx, a.xhat2, w.post_attention_layernorm.weight, a.rstd2, dresidual,
                  w.post_attention_layernorm.dweight);
}

void AttentionPartBackward(const Pass& pass, int64_t l, const LayerActivations& a,
                           const Tensor& dresidual, bool below) {
  const ModelConfig& c = pass.config();
  const LayerWeights& w = pass.model.weights().layers[static_cast<size_t>(l)];
  const ArenaScope scope(pass.arena);
  const Differentiated d{pass};
  const int64_t T = pass.T(), D = c.hidden_size, K = c.num_key_value_heads, Dh = c.head_dim;
  const auto take = [&](const char* name, DType dtype, std::initializer_list<int64_t> shape) {
    return pass.arena.Take(name, dtype, shape);
  };
  const Tensor dy = take("gradient operand", pass.compute(), {T, D});
  Convert(dresidual, dy);
  const Tensor dattention = take("gradient", DType::kF32, {T, c.q_size()});
  const Tensor o_g = d.TakeG(w.o_proj);
  d.Input(w.o_proj, dy, dattention, false, o_g);
  d.Weights(w.o_proj, dy, a.attention, a.low_rank_t[kO], o_g);

  const Tensor dq = take("gradient", DType::kF32, {K, T, c.group(), Dh});
  const Tensor dk = take("gradient", DType::kF32, {K, T, Dh});
  const Tensor dv = take("gradient", DType::kF32, {K, T, Dh});
  AttentionBackward(pass.Attention(), dattention, a.q, Sequences(pass, a.k, a.v), a.lse, dq, dk,
                    dv);

  const HeadRope rope{pass.cos, pass.sin};
  const HeadNorm q_norm = NormOf(w.q_norm, c.rms_norm_eps, a.q_xhat, a.q_rstd);
  const HeadNorm k_norm = NormOf(w.k_norm, c.rms_norm_eps, a.k_xhat, a.k_rstd);
  const Tensor x = dy;  // used up: the norm's output takes its place
  RmsNormScale(a.xhat1, w.input_layernorm.weight, x);
  const Tensor dx = below ? take("gradient", DType::kF32, {T, D}) : Tensor();
  const auto split = [&](const Linear& linear, const Tensor& dheads, LinearIndex index,
                         const HeadNorm* norm, const HeadRope* turn, const Tensor& dnorm,
                         bool accumulate) {
    const ArenaScope product_scope(pass.arena);
    const Tensor dproduct = take("gradient operand", pass.compute(), {T, linear.out_features()});
    const Tensor heads(dheads.data, dheads.dtype, {K, T, linear.out_features() / (K * Dh), Dh});
    SplitHeadsBackward(heads, norm, turn, dproduct, dnorm);
    const Tensor g = d.TakeG(linear);
    d.Input(linear, dproduct, dx, accumulate, g);
    d.Weights(linear, dproduct, x, a.low_rank_t[index], g);
  };
  split(w.q_proj, dq, kQ, c.qk_norm ? &q_norm : nullptr, &rope, w.q_norm.dweight, false);
  split(w.k_proj, dk, kK, c.qk_norm ? &k_norm : nullptr, &rope, w.k_norm.dweight, true);
  split(w.v_proj, dv, kV, nullptr, nullptr, Tensor(), true);
  if (!below) return;
  RmsNormBackward(dx, a.xhat1, w.input_layernorm.weight, a.rstd1, dresidual,
                  w.input_layernorm.dweight);
}

// below: something under this layer is trained.
void LayerBackward(const Pass& pass, int64_t l, const LayerActivations& a, const Tensor& dresidual,
                   bool below) {
  const LayerWeights& w = pass.model.weights().layers[static_cast<size_t>(l)];
  const Extent extent = ExtentOf(pass, w);
  MlpPartBackward(pass, l, a, dresidual, extent.attention || below);
  if (extent.attention || below) AttentionPartBackward(pass, l, a, dresidual, below);
}

// The lowest layer with something to train; L when there is none.
int64_t LowestTrained(const Pass& pass) {
  const auto& layers = pass.model.weights().layers;
  for (size_t l = 0; l < layers.size(); ++l) {
    const Extent extent = ExtentOf(pass, layers[l]);
    if (extent.attention || extent.mlp) return static_cast<int64_t>(l);
  }
  return static_cast<int64_t>(layers.size());
}

}  // namespace

LayerActivations TakeLayerActivations(const ModelConfig& c, const LayerWeights& layer,
                                      const LoraAdapter* adapter, DType compute, int64_t T,
                                      bool with_kv, Arena& arena) {
  LayerActivations a;
  const auto take = [&](DType dtype, std::initializer_list<int64_t> shape) {
    return arena.Take("activations", dtype, shape);
  };
  const int64_t D = c.hidden_size, F = c.intermediate_size, H = c.num_attention_heads;
  const int64_t K = c.num_key_value_heads, Dh = c.head_dim;
  a.xhat1 = take(compute, {T, D});
  a.rstd1 = take(DType::kF32, {T});
  a.q = take(compute, {K, T, c.group(), Dh});
  if (with_kv) {
    a.k = take(compute, {K, T + kAttentionPadding, Dh});
    a.v = take(compute, {K, T + kAttentionPadding, Dh});
  }
  if (c.qk_norm) {
    a.q_xhat = take(compute, {T, c.q_size()});
    a.q_rstd = take(DType::kF32, {T, H});
    a.k_xhat = take(compute, {T, c.kv_size()});
    a.k_rstd = take(DType::kF32, {T, K});
  }
  a.attention = take(compute, {T, c.q_size()});
  a.lse = take(DType::kF32, {K, T, c.group()});
  a.xhat2 = take(compute, {T, D});
  a.rstd2 = take(DType::kF32, {T});
  if (layer.experts.empty()) {
    a.gate = take(compute, {T, F});
    a.up = take(compute, {T, F});
  }
  if (adapter == nullptr) return a;
  const std::vector<const Linear*> linears = LinearsOf(layer);
  const size_t here = layer.experts.empty() ? kLinearsPerLayer : kGate;  // experts keep their own
  for (size_t i = 0; i < here; ++i) {
    const LoraPair* pair = adapter->Find(*linears[i]);
    if (pair != nullptr) a.low_rank_t[i] = take(compute, {pair->r, T});
  }
  return a;
}

Tensor Forward(const Model& model, const Batch& batch, const ForwardOptions& options,
               Arena& arena) {
  CHECK(options.keep == nullptr || options.cache == nullptr);
  const int64_t T = batch.num_tokens(), L = model.config().num_hidden_layers;
  const Tensor residual = arena.Take("residual", DType::kF32, {T, model.config().hidden_size});
  EmbeddingForward(batch.tokens, model.weights().embed_tokens, residual);
  Activations* keep = options.keep;
  if (keep != nullptr) {
    keep->layers.clear();
    keep->inputs.clear();
  }
  if (keep != nullptr && keep->recompute == Recompute::kBlock) {
    for (int64_t l = 0; l < L; ++l) {
      keep->inputs.push_back(arena.Take("layer inputs", DType::kF32, {T, residual.cols()}));
    }
  }
  if (keep != nullptr && keep->recompute == Recompute::kNone) {
    const Pass taker{model, batch, options.adapter, nullptr, {}, arena, {}, {}, {}};
    for (int64_t l = 0; l < L; ++l) keep->layers.push_back(TakeLayer(taker, l));
  }
  const ArenaScope scope(arena);  // everything below is scratch
  const Pass pass = MakePass(model, batch, options.adapter, options.cache, options.slots, arena);
  for (int64_t l = 0; l < L; ++l) {
    const ArenaScope layer_scope(arena);
    if (keep != nullptr && keep->recompute == Recompute::kBlock) {
      Convert(residual, keep->inputs[static_cast<size_t>(l)]);
    }
    const bool kept = keep != nullptr && keep->recompute == Recompute::kNone;
    LayerForward(pass, l, residual,
                 kept ? keep->layers[static_cast<size_t>(l)] : TakeLayer(pass, l));
    if (options.on_layer) options.on_layer(l, residual);
  }
  return residual;
}

void Backward(const Model& model, const Batch& batch, const LoraAdapter* adapter,
              const Activations& kept, const Tensor& dresidual, Arena& arena) {
  const ArenaScope scope(arena);
  const Pass pass = MakePass(model, batch, adapter, nullptr, {}, arena);
  const bool full = static_cast<bool>(model.weights().dembed_tokens);
  const int64_t lowest = full ? 0 : LowestTrained(pass);
  for (int64_t l = model.config().num_hidden_layers - 1; l >= lowest; --l) {
    const ArenaScope layer_scope(arena);
    const bool below = full || l > lowest;
    if (kept.recompute == Recompute::kNone) {
      LayerBackward(pass, l, kept.layers[static_cast<size_t>(l)], dresidual, below);
      continue;
    }
    const LayerActivations again = TakeLayer(pass, l);
    const Tensor& input = kept.inputs[static_cast<size_t>(l)];
    LayerForward(pass, l, input, again);  // overwrites the input, which nobody needs any more
    LayerBackward(pass, l, again, dresidual, below);
  }
  if (full) EmbeddingBackward(batch.tokens, dresidual, model.weights().dembed_tokens);
}

}  // namespace lorikeet
