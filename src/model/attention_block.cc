#include "model/attention_block.h"

#include "kernels/attention.h"
#include "kernels/cast.h"
#include "kernels/heads.h"
#include "model/pass.h"

namespace lorikeet {
namespace {

AttentionShape ShapeOf(const AttentionSpec& s) {
  return {s.kv_heads, s.group(), s.head_dim, s.score_scale, s.window, s.softcap};
}

// The sequences of the batch, with their keys and values in the batch or in pages of the cache.
std::vector<AttentionSequence> Sequences(const Pass& pass, const AttentionSpec& spec,
                                         const Tensor& k, const Tensor& v) {
  const int64_t Dh = spec.head_dim;
  const bool cached = pass.cache != nullptr;
  std::vector<AttentionSequence> sequences;
  // Into `sequences`, which has no empty ones, by sequence of the batch.
  std::vector<int64_t> index;
  for (int64_t s = 0; s < pass.batch.num_sequences(); ++s) {
    const int64_t begin = pass.batch.cu_seqlens[s], end = pass.batch.cu_seqlens[s + 1];
    index.push_back(static_cast<int64_t>(sequences.size()));
    if (begin == end) continue;
    const int64_t rows = cached ? pass.cache->pages() * kPagePositions : k.shape[1];
    const int64_t first = cached ? 0 : begin;
    const auto at = [&](const Tensor& t) {
      return static_cast<const std::byte*>(t.data) + DTypeBytes(t.dtype, first * Dh);
    };
    const int64_t prefix = pass.batch.PrefixOf(s);
    CHECK(prefix < s && (prefix < 0 || !cached));
    const bool alone = !cached && prefix < 0;
    const int64_t kv_len = alone ? end - begin : pass.batch.positions[end - 1] + 1;
    sequences.push_back({begin, end - begin, kv_len, at(k), at(v), rows * Dh,
                         prefix < 0 ? -1 : index[static_cast<size_t>(prefix)]});
    if (!cached) continue;
    sequences.back().pages = pass.states[s]->pages;
    sequences.back().page_stride = kPagePositions * Dh;
  }
  return sequences;
}

// The destination of keys or values: the kept tensor, or this batch's rows of the cache.
HeadRows KvDestination(const Pass& pass, const AttentionSpec& spec, const Tensor& kept,
                       const Tensor& cached) {
  const int64_t K = spec.kv_heads, Dh = spec.head_dim;
  if (pass.cache != nullptr) {
    const Tensor space(cached.data, cached.dtype, {K, pass.cache->pages() * kPagePositions, 1, Dh});
    return HeadRows(space, pass.cache_rows);
  }
  return HeadRows(Tensor(kept.data, kept.dtype, {K, kept.shape[1], 1, Dh}), pass.T());
}

// Attention blocks read up to kAttentionPadding rows behind the last key.
void ZeroPadding(const Tensor& kv, int64_t T) {
  const int64_t K = kv.shape[0], rows = kv.shape[1], Dh = kv.shape[2];
  const Tensor all(kv.data, kv.dtype, {K * rows, Dh});
  for (int64_t k = 0; k < K; ++k) Zero(all.Rows(k * rows + T, (k + 1) * rows));
}

// How heads are split off a projection: the norm and the rotation of queries and of keys.
struct Heads {
  HeadNorm q_norm, k_norm;
  const HeadRope *q_rope, *k_rope;  // null: not rotated
  bool normed;

  Heads(const Pass& pass, const AttentionWeights& w, const AttentionActivations& a)
      : q_norm{w.q_norm.weight, pass.config().rms_norm_eps, a.q_xhat, a.q_rstd,
               w.q_norm.kind,   w.spec.qk_norm_after_rope},
        k_norm{w.k_norm.weight, pass.config().rms_norm_eps, a.k_xhat, a.k_rstd,
               w.k_norm.kind,   w.spec.qk_norm_after_rope},
        q_rope(Table(pass, w.spec.query_rope)),
        k_rope(Table(pass, w.spec.rope)),
        normed(w.spec.qk_norm) {}
  const HeadNorm* q() const { return normed ? &q_norm : nullptr; }
  const HeadNorm* k() const { return normed ? &k_norm : nullptr; }

 private:
  static const HeadRope* Table(const Pass& pass, int index) {
    return index < 0 ? nullptr : &pass.ropes[static_cast<size_t>(index)];
  }
};

// The norm of all heads of a token together, in f32.
Tensor WholeNormForward(const Pass& pass, const HeadNorm& norm, const Tensor& product) {
  const Tensor normed = pass.Take("projection", DType::kF32, product.cols());
  Zero(normed);
  RmsNormAdd(product, norm.w, norm.eps, norm.xhat, normed, norm.rstd, norm.kind);
  return normed;
}

void WholeNormBackward(const Pass& pass, const HeadNorm& norm, const Tensor& dnormed,
                       const Tensor& dproduct, const Tensor& dw) {
  const Tensor exact = pass.Take("gradient", DType::kF32, dnormed.cols());
  Zero(exact);
  RmsNormBackward(dnormed, norm.xhat, norm.w, norm.rstd, exact, dw, norm.kind);
  Convert(exact, dproduct);
}

}  // namespace

void DeclareWeights(const AttentionSpec& s, const std::string& prefix, const WeightVisitor& visit,
                    AttentionWeights* w) {
  CHECK(!s.fused_qkv || !s.qk_norm_whole);
  w->spec = s;
  const auto linear = [&](Linear* to, const char* name, int64_t out, int64_t in, bool bias,
                          bool adds = false) {
    to->name = prefix + "self_attn." + name;
    visit.linear({to, out, in, bias, adds});
  };
  if (s.fused_qkv) {
    linear(&w->qkv_proj, "qkv_proj", s.q_size() + 2 * s.kv_size(), s.hidden_size, s.qkv_bias);
  } else {
    linear(&w->q_proj, "q_proj", s.q_size(), s.hidden_size, s.qkv_bias);
    linear(&w->k_proj, "k_proj", s.kv_size(), s.hidden_size, s.qkv_bias);
    linear(&w->v_proj, "v_proj", s.kv_size(), s.hidden_size, s.qkv_bias);
  }
  linear(&w->o_proj, "o_proj", s.hidden_size, s.q_size(), s.o_bias, true);
  if (!s.qk_norm) return;
  w->q_norm.name =
      prefix + (s.qk_norm_after_rope ? "self_attn.query_layernorm" : "self_attn.q_norm");
  w->k_norm.name = prefix + (s.qk_norm_after_rope ? "self_attn.key_layernorm" : "self_attn.k_norm");
  for (Norm* norm : {&w->q_norm, &w->k_norm}) norm->kind = s.norm_kind;
  visit.norm(&w->q_norm, s.qk_norm_whole ? s.q_size() : s.head_dim);
  visit.norm(&w->k_norm, s.qk_norm_whole ? s.kv_size() : s.head_dim);
}

AttentionActivations TakeActivations(const Pass& pass, const AttentionWeights& w) {
  const AttentionSpec& s = w.spec;
  const int64_t T = pass.T(), H = s.heads, K = s.kv_heads, Dh = s.head_dim;
  const DType C = pass.compute();
  const auto take = [&](DType dtype, std::initializer_list<int64_t> shape) {
    return pass.arena.Take("activations", dtype, shape);
  };
  AttentionActivations a;
  a.q = take(C, {K, T, s.group(), Dh});
  if (pass.cache == nullptr) {
    a.k = take(C, {K, T + kAttentionPadding, Dh});
    a.v = take(C, {K, T + kAttentionPadding, Dh});
  }
  if (s.qk_norm) {
    a.q_xhat = take(C, {T, s.q_size()});
    a.q_rstd = take(DType::kF32, {T, s.qk_norm_whole ? 1 : H});
    a.k_xhat = take(C, {T, s.kv_size()});
    a.k_rstd = take(DType::kF32, {T, s.qk_norm_whole ? 1 : K});
  }
  a.attention = take(C, {T, s.q_size()});
  a.lse = take(DType::kF32, {K, T, s.group()});
  if (s.fused_qkv) {
    a.qkv_lora_x_t = pass.TakeLoraX(w.qkv_proj);
  } else {
    a.q_lora_x_t = pass.TakeLoraX(w.q_proj);
    a.k_lora_x_t = pass.TakeLoraX(w.k_proj);
    a.v_lora_x_t = pass.TakeLoraX(w.v_proj);
  }
  a.o_lora_x_t = pass.TakeLoraX(w.o_proj);
  return a;
}

namespace {

// The parts of the product [q|k|v] of a fused matrix, or of its gradient.
struct QkvColumns {
  Columns q, k, v;

  QkvColumns(const AttentionSpec& s, const Tensor& product)
      : q(product, 0, s.q_size()),
        k(product, s.q_size(), s.kv_size()),
        v(product, s.q_size() + s.kv_size(), s.kv_size()) {}
};

// Queries, keys and values of x, split by heads. k, v: where keys and values go.
void ProjectAndSplit(const Pass& pass, const AttentionWeights& w, const Tensor& x,
                     const AttentionActivations& a, const HeadRows& k, const HeadRows& v) {
  const Heads heads(pass, w, a);
  if (w.spec.fused_qkv) {
    const ArenaScope product_scope(pass.arena);
    const Tensor product = pass.Take("projection", DType::kF32, w.qkv_proj.out_features());
    pass.Project(w.qkv_proj, x, product, false, a.qkv_lora_x_t);
    const QkvColumns parts(w.spec, product);
    SplitHeadsForward(parts.q, heads.q(), heads.q_rope, a.q);
    SplitHeadsForward(parts.k, heads.k(), heads.k_rope, k);
    SplitHeadsForward(parts.v, nullptr, nullptr, v);
    return;
  }
  const auto split = [&](const Linear& linear, const Tensor& lora_x_t, const HeadNorm* norm,
                         const HeadRope* rope, const HeadRows& to) {
    const ArenaScope product_scope(pass.arena);
    const Tensor product = pass.Take("projection", DType::kF32, linear.out_features());
    pass.Project(linear, x, product, false, lora_x_t);
    if (norm == nullptr || !w.spec.qk_norm_whole) return SplitHeadsForward(product, norm, rope, to);
    SplitHeadsForward(WholeNormForward(pass, *norm, product), nullptr, rope, to);
  };
  split(w.q_proj, a.q_lora_x_t, heads.q(), heads.q_rope, a.q);
  split(w.k_proj, a.k_lora_x_t, heads.k(), heads.k_rope, k);
  split(w.v_proj, a.v_lora_x_t, nullptr, nullptr, v);
}

// The mirror: dq (K, T, G, Dh), dk and dv (K, T, Dh) f32. x (T, D) C, the normed input; dx as in
// BlockBackward.
void SplitAndProjectBackward(const Pass& pass, const AttentionWeights& w, const Tensor& x,
                             const AttentionActivations& a, const Tensor& dq, const Tensor& dk,
                             const Tensor& dv, const Tensor& dx, bool accumulate) {
  const Heads heads(pass, w, a);
  const auto backward = [&](const Linear& linear, const Tensor& dproduct, const Tensor& lora_x_t,
                            bool adds) {
    const Tensor lora_dy_t = pass.TakeLoraDy(linear);
    pass.BackwardInput(linear, dproduct, dx, adds, lora_dy_t);
    pass.BackwardWeights(linear, dproduct, x, lora_x_t, lora_dy_t);
  };
  if (w.spec.fused_qkv) {
    const ArenaScope product_scope(pass.arena);
    const Tensor dproduct =
        pass.Take("gradient operand", pass.compute(), w.qkv_proj.out_features());
    const QkvColumns parts(w.spec, dproduct);
    SplitHeadsBackward(dq, heads.q(), heads.q_rope, parts.q, w.q_norm.dweight);
    SplitHeadsBackward(dk, heads.k(), heads.k_rope, parts.k, w.k_norm.dweight);
    SplitHeadsBackward(dv, nullptr, nullptr, parts.v, Tensor());
    return backward(w.qkv_proj, dproduct, a.qkv_lora_x_t, accumulate);
  }
  const auto split = [&](const Linear& linear, const Tensor& dheads, const Tensor& lora_x_t,
                         const HeadNorm* norm, const HeadRope* rope, const Tensor& dnorm,
                         bool adds) {
    const ArenaScope product_scope(pass.arena);
    const Tensor dproduct = pass.Take("gradient operand", pass.compute(), linear.out_features());
    if (norm == nullptr || !w.spec.qk_norm_whole) {
      SplitHeadsBackward(dheads, norm, rope, dproduct, dnorm);
    } else {
      const Tensor dnormed = pass.Take("gradient", DType::kF32, linear.out_features());
      SplitHeadsBackward(dheads, nullptr, rope, dnormed, Tensor());
      WholeNormBackward(pass, *norm, dnormed, dproduct, dnorm);
    }
    backward(linear, dproduct, lora_x_t, adds);
  };
  split(w.q_proj, dq, a.q_lora_x_t, heads.q(), heads.q_rope, w.q_norm.dweight, accumulate);
  split(w.k_proj, dk, a.k_lora_x_t, heads.k(), heads.k_rope, w.k_norm.dweight, true);
  split(w.v_proj, dv, a.v_lora_x_t, nullptr, nullptr, Tensor(), true);
}

}  // namespace

void BlockForward(const Pass& pass, const AttentionWeights& w, const Tensor& x,
                  const AttentionActivations& a, const Tensor& residual) {
  const AttentionSpec& s = w.spec;
  const Tensor k = pass.cache == nullptr ? a.k : pass.cache->k(w.layer);
  const Tensor v = pass.cache == nullptr ? a.v : pass.cache->v(w.layer);
  ProjectAndSplit(pass, w, x, a, KvDestination(pass, s, a.k, k), KvDestination(pass, s, a.v, v));
  if (pass.cache == nullptr) {
    ZeroPadding(a.k, pass.T());
    ZeroPadding(a.v, pass.T());
  }
  AttentionForward(ShapeOf(s), a.q, Sequences(pass, s, k, v), a.attention, a.lse);
  pass.Project(w.o_proj, a.attention, residual, true, a.o_lora_x_t);
}

void BlockBackward(const Pass& pass, const AttentionWeights& w, const NormedInput& input,
                   const AttentionActivations& a, const Tensor& dresidual, const Tensor& dx,
                   bool accumulate) {
  const AttentionSpec& s = w.spec;
  const int64_t T = pass.T(), K = s.kv_heads, Dh = s.head_dim;
  const Tensor dy = pass.Take("gradient operand", pass.compute(), s.hidden_size);
  Convert(dresidual, dy);
  const Tensor dattention = pass.Take("gradient", DType::kF32, s.q_size());
  const Tensor o_lora_dy_t = pass.TakeLoraDy(w.o_proj);
  pass.BackwardInput(w.o_proj, dy, dattention, false, o_lora_dy_t);
  pass.BackwardWeights(w.o_proj, dy, a.attention, a.o_lora_x_t, o_lora_dy_t);

  const Tensor dq = pass.arena.Take("gradient", DType::kF32, {K, T, s.group(), Dh});
  const Tensor dk = pass.arena.Take("gradient", DType::kF32, {K, T, Dh});
  const Tensor dv = pass.arena.Take("gradient", DType::kF32, {K, T, Dh});
  AttentionBackward(ShapeOf(s), dattention, a.q, Sequences(pass, s, a.k, a.v), a.lse, dq, dk, dv);

  const Tensor x = dy;  // scratch by now
  input.Write(x);
  SplitAndProjectBackward(pass, w, x, a, dq, dk, dv, dx, accumulate);
}

}  // namespace lorikeet
