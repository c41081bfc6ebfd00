#include "model/memory_plan.h"

#include <algorithm>
#include <array>

#include "core/parallel.h"
#include "kernels/attention.h"
#include "model/linear_shapes.h"
#include "model/loss_head.h"

namespace lorikeet {
namespace {

// Sums the arena's blocks as it lays them out, each rounded up to 64 bytes.
class Counter {
 public:
  void Add(DType dtype, int64_t elements) {
    bytes_ += static_cast<size_t>((DTypeBytes(dtype, elements) + 63) / 64 * 64);
  }
  void Add(size_t bytes) { bytes_ += bytes; }
  size_t bytes() const { return bytes_; }

 private:
  size_t bytes_ = 0;
};

constexpr DType kF32 = DType::kF32;

// Mirrors TakeLayerActivations.
size_t LayerBytes(const ModelConfig& c, const std::array<LinearShape, kLinearsPerLayer>& linears,
                  DType C, int64_t T) {
  Counter n;
  const int64_t D = c.hidden_size, K = c.num_key_value_heads;
  n.Add(C, T * D);  // xhat1, xhat2
  n.Add(C, T * D);
  for (int i = 0; i < 2; ++i) n.Add(kF32, T);                                      // rstd
  for (int i = 0; i < 2; ++i) n.Add(C, T * c.q_size());                            // q, attention
  for (int i = 0; i < 2; ++i) n.Add(C, K * (T + kAttentionPadding) * c.head_dim);  // k, v
  if (c.qk_norm) {
    n.Add(C, T * c.q_size());
    n.Add(kF32, T * c.num_attention_heads);
    n.Add(C, T * c.kv_size());
    n.Add(kF32, T * K);
  }
  n.Add(kF32, T * c.num_attention_heads);                         // lse
  for (int i = 0; i < 2; ++i) n.Add(C, T * c.intermediate_size);  // gate, up
  for (const LinearShape& linear : linears) {
    if (linear.r > 0) n.Add(C, linear.r * T);
  }
  return n.bytes();
}

// Of the linears [begin, end).
int64_t LargestRank(const std::array<LinearShape, kLinearsPerLayer>& linears, LinearIndex begin,
                    LinearIndex end) {
  int64_t r = 0;
  for (size_t i = begin; i < end; ++i) r = std::max(r, linears[i].r);
  return r;
}

// Largest ranks of a layer's two parts.
struct Ranks {
  int64_t attention, mlp;
};
Ranks RanksOf(const std::array<LinearShape, kLinearsPerLayer>& linears) {
  return {LargestRank(linears, kQ, kGate), LargestRank(linears, kGate, kLinearsPerLayer)};
}

// Scratch of one low-rank product: (T, R) in f32 and in C.
size_t LowRankScratch(int64_t T, int64_t r, DType C) {
  Counter n;
  if (r == 0) return 0;
  n.Add(kF32, T * r);
  n.Add(C, T * r);
  return n.bytes();
}

size_t ForwardScratch(const ModelConfig& c, int64_t T, const Ranks& ranks, DType C) {
  Counter attention, mlp;
  attention.Add(C, T * c.hidden_size);
  attention.Add(kF32, T * c.q_size());
  mlp.Add(C, T * c.hidden_size);
  mlp.Add(C, T * c.intermediate_size);
  // Gate and up, where a bias is added in f32.
  for (int i = 0; i < (c.mlp_bias ? 2 : 0); ++i) mlp.Add(kF32, T * c.intermediate_size);
  return std::max(attention.bytes() + LowRankScratch(T, ranks.attention, C),
                  mlp.bytes() + LowRankScratch(T, ranks.mlp, C));
}

// Mirrors MlpPartBackward and AttentionPartBackward.
size_t BackwardScratch(const ModelConfig& c, int64_t T, const Ranks& ranks, DType C) {
  Counter attention, mlp;
  mlp.Add(C, T * c.hidden_size);
  mlp.Add(kF32, T * c.intermediate_size);
  for (int i = 0; i < 3; ++i) mlp.Add(C, T * c.intermediate_size);  // dgate, dup, h
  for (int i = 0; i < 3 && ranks.mlp > 0; ++i) mlp.Add(C, ranks.mlp * T);
  mlp.Add(kF32, T * c.hidden_size);
  attention.Add(C, T * c.hidden_size);
  attention.Add(kF32, T * c.q_size());
  if (ranks.attention > 0) attention.Add(C, ranks.attention * T);
  attention.Add(kF32, T * c.q_size());
  for (int i = 0; i < 2; ++i) attention.Add(kF32, T * c.kv_size());
  attention.Add(kF32, T * c.hidden_size);
  attention.Add(C, T * c.q_size());
  if (ranks.attention > 0) attention.Add(C, ranks.attention * T);
  return std::max(attention.bytes() + LowRankScratch(T, ranks.attention, C),
                  mlp.bytes() + LowRankScratch(T, ranks.mlp, C));
}

size_t HeadBytes(const ModelConfig& c, int64_t T, int64_t r, DType C, bool backward) {
  const int64_t rows = std::min(T, HeadChunkRows(c)), D = c.hidden_size, V = c.vocab_size;
  Counter n;
  n.Add(kF32, rows * D);
  n.Add(C, rows * D);
  n.Add(C, rows * D);
  n.Add(kF32, rows * V);
  for (int i = 0; i < 3; ++i) n.Add(kF32, rows);
  if (r > 0) n.Add(C, r * rows);
  if (backward) {
    n.Add(kF32, rows);
    n.Add(C, rows * V);
    n.Add(kF32, rows * D);
    n.Add(kF32, rows * D);
    if (r > 0) n.Add(C, r * rows);
  }
  return n.bytes() + LowRankScratch(rows, r, C);
}

size_t ArenaBytesOf(const ModelConfig& c, const LinearShapes& shapes, Recompute recompute, DType C,
                    int64_t T, bool backward) {
  Counter n;
  n.Add(kF32, T * c.hidden_size);  // the residual
  const size_t layer = LayerBytes(c, shapes.layer, C, T);
  const int64_t L = c.num_hidden_layers;
  const Ranks ranks = RanksOf(shapes.layer);
  Counter rope;
  rope.Add(kF32, T * c.head_dim / 2);
  rope.Add(kF32, T * c.head_dim / 2);
  const size_t forward = ForwardScratch(c, T, ranks, C) + rope.bytes();
  if (!backward) {
    return n.bytes() + std::max(layer + forward, HeadBytes(c, T, shapes.head.r, C, false));
  }
  Counter kept;
  size_t again = 0;  // what the backward of one layer takes besides its scratch
  if (recompute == Recompute::kNone) {
    for (int64_t l = 0; l < L; ++l) kept.Add(layer);
  } else {
    for (int64_t l = 0; l < L; ++l) kept.Add(kF32, T * c.hidden_size);
    again = layer;
  }
  Counter dhidden;
  dhidden.Add(kF32, T * c.hidden_size);
  const size_t down = dhidden.bytes() + rope.bytes() + again +
                      std::max(BackwardScratch(c, T, ranks, C), again > 0 ? forward : 0);
  const size_t head = dhidden.bytes() + HeadBytes(c, T, shapes.head.r, C, true);
  return n.bytes() + kept.bytes() + std::max({again + forward, head, down});
}

// Measured (docs/performance.md, "Memory"): what a run of a model of a few kilobytes holds in code,
// libraries and heap; what a thread holds, mostly packed operands of products; what a tokenizer
// takes per entry of its vocabulary.
constexpr size_t kProgramBytes = size_t{20} << 20;
constexpr size_t kThreadBytes = size_t{3} << 19;
constexpr size_t kVocabularyBytes = 300;

size_t ProgramBytes(const ModelConfig& c) {
  return kProgramBytes + kThreadBytes * static_cast<size_t>(NumThreads()) +
         kVocabularyBytes * static_cast<size_t>(c.vocab_size);
}

size_t AttentionBytes(const ModelConfig& c, const TrainingShape& shape) {
  const int64_t longest =
      shape.longest_sequence > 0 ? shape.longest_sequence : shape.sequence_length;
  return static_cast<size_t>(AttentionScratchBytes(
      {c.num_key_value_heads, c.group(), c.head_dim}, shape.compute, shape.tokens_per_microbatch,
      std::max<int64_t>(longest, 1), NumThreads(), shape.shared_prefixes));
}

int64_t NormParameters(const ModelConfig& c) {
  return c.num_hidden_layers * (2 * c.hidden_size + (c.qk_norm ? 2 * c.head_dim : 0)) +
         c.hidden_size;
}

int64_t BiasParameters(const ModelConfig& c) {
  int64_t layer = c.qkv_bias ? c.q_size() + 2 * c.kv_size() : 0;
  if (c.o_bias) layer += c.hidden_size;
  if (c.mlp_bias) layer += 2 * c.intermediate_size + c.hidden_size;
  return c.num_hidden_layers * layer;
}

int64_t MatrixParameters(const ModelConfig& c) {
  int64_t layer = 0;
  for (const LinearShape& linear : PlainShapes(c).layer) layer += linear.in * linear.out;
  return c.num_hidden_layers * layer +
         (c.tie_word_embeddings ? 1 : 2) * c.vocab_size * c.hidden_size;
}

}  // namespace

size_t ArenaBytes(const Model& model, const LoraAdapter* adapter, Recompute recompute, int64_t T,
                  bool backward) {
  LinearShapes shapes = PlainShapes(model.config());
  if (adapter != nullptr) {  // the largest rank of each kind of linear stands for all layers
    for (const LayerWeights& w : model.weights().layers) {
      const std::array<const Linear*, kLinearsPerLayer> linears = {
          &w.q_proj, &w.k_proj, &w.v_proj, &w.o_proj, &w.gate_proj, &w.up_proj, &w.down_proj};
      for (size_t i = 0; i < linears.size(); ++i) {
        const LoraPair* pair = adapter->Find(*linears[i]);
        if (pair != nullptr) shapes.layer[i].r = std::max(shapes.layer[i].r, pair->r);
      }
    }
    const LoraPair* head = adapter->Find(model.weights().lm_head);
    if (head != nullptr) shapes.head.r = head->r;
  }
  return ArenaBytesOf(model.config(), shapes, recompute, model.compute(), T, backward);
}

std::vector<MemoryPart> PlanTrainingMemory(const ModelConfig& c, const TrainingShape& shape,
                                           DType source_dtype) {
  const LinearShapes shapes = AdaptedShapes(c, shape);
  const auto parameters = static_cast<size_t>(CountParameters(c));
  const auto trainable = static_cast<size_t>(CountTrainable(c, shape));
  const auto vectors = static_cast<size_t>(NormParameters(c) + BiasParameters(c));
  const auto matrices = static_cast<size_t>(MatrixParameters(c));
  const bool bf16 = shape.compute == DType::kBF16;
  const auto width = static_cast<size_t>(DTypeBytes(shape.compute, 1));
  std::vector<MemoryPart> parts;
  if (shape.method == Method::kLora) {
    const bool as_stored = source_dtype == shape.compute;
    parts.push_back(
        {as_stored ? "base weights" : "base weights (converted)", matrices * width + vectors * 4});
    parts.push_back({"adapter", trainable * (bf16 ? 6 : 4)});
  } else {
    // The f32 masters are the working copy when products run in f32; otherwise one lies beside
    // them.
    parts.push_back({"weights (f32 masters)", parameters * 4});
    if (bf16) parts.push_back({"weights (bf16 copy)", matrices * 2});
  }
  parts.push_back({"gradients", trainable * 4});
  parts.push_back({"optimizer moments", trainable * 8});
  parts.push_back({kActivationsPart, ArenaBytesOf(c, shapes, shape.recompute, shape.compute,
                                                  shape.tokens_per_microbatch, true)});
  parts.push_back({kProgramPart, ProgramBytes(c) + AttentionBytes(c, shape)});
  return parts;
}

size_t TotalBytes(const std::vector<MemoryPart>& parts) {
  size_t total = 0;
  for (const MemoryPart& part : parts) total += part.bytes;
  return total;
}

FlopsPerToken TrainingFlops(const ModelConfig& c, const TrainingShape& shape,
                            double trained_fraction) {
  const LinearShapes shapes = AdaptedShapes(c, shape);
  const bool full = shape.method == Method::kFull;
  FlopsPerToken flops;
  const auto add = [&](const LinearShape& linear, double times) {
    const auto n = static_cast<double>(linear.in * linear.out);
    const auto low_rank = static_cast<double>(linear.r * (linear.in + linear.out));
    flops.forward += times * 2 * (n + low_rank);
    // dx, and for full fine-tuning dW; of an adapter: g and dx through it, dA and dB.
    flops.backward += times * (2 * n + (full ? 2 * n : 4 * low_rank));
  };
  for (const LinearShape& linear : shapes.layer)
    add(linear, static_cast<double>(c.num_hidden_layers));
  add(shapes.head, trained_fraction);
  // Scores and values: 2 products forward and 4 backward (scores computed again are not counted),
  // over the causal half.
  const double pairs = static_cast<double>(shape.sequence_length + 1) / 2;
  flops.attention = static_cast<double>(c.num_hidden_layers * c.q_size()) * pairs * 2 * (2 + 4);
  return flops;
}

int64_t CountParameters(const ModelConfig& c) {
  return MatrixParameters(c) + NormParameters(c) + BiasParameters(c);
}

int64_t CountTrainable(const ModelConfig& c, const TrainingShape& shape) {
  if (shape.method == Method::kFull) return CountParameters(c);
  const LinearShapes shapes = AdaptedShapes(c, shape);
  int64_t layer = 0;
  for (const LinearShape& linear : shapes.layer) layer += linear.r * (linear.in + linear.out);
  return c.num_hidden_layers * layer + shapes.head.r * (shapes.head.in + shapes.head.out);
}

}  // namespace lorikeet
