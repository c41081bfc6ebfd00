#include "plan/memory_plan.h"

#include <algorithm>
#include <array>

#include "core/parallel.h"
#include "kernels/attention.h"
#include "model/loss_head.h"
#include "model/moe_block.h"
#include "plan/adapted_shapes.h"

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

int64_t LargestRank(const std::array<LinearShape, 3>& expert) {
  return std::max({expert[0].r, expert[1].r, expert[2].r});
}

// Mirrors TakeExpertActivations.
size_t ExpertActivationBytes(const ModelConfig& c, const LinearShapes& shapes, DType C, int64_t T) {
  Counter n;
  const int64_t N = T * c.num_experts_per_tok;
  n.Add(kF32, T * c.num_experts);
  for (int i = 0; i < 4; ++i) n.Add(kF32, N);  // experts, weights, tokens and rows
  n.Add(kF32, c.num_experts + 1);
  for (int i = 0; i < 2; ++i) n.Add(C, N * c.moe_intermediate_size);
  if (shapes.router.r > 0) n.Add(C, shapes.router.r * T);
  for (const LinearShape& linear : shapes.expert) {
    if (linear.r > 0) n.Add(C, N * ExpertLowRankWidth(linear.r));
  }
  return n.bytes();
}

// Mirrors TakeLayerActivations, of a dense layer or one with experts.
size_t LayerBytes(const ModelConfig& c, const LinearShapes& shapes, DType C, int64_t T,
                  bool experts) {
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
  n.Add(kF32, T * c.num_attention_heads);                                         // lse
  for (int i = 0; i < (experts ? 0 : 2); ++i) n.Add(C, T * c.intermediate_size);  // gate, up
  for (size_t i = 0; i < (experts ? kGate : kLinearsPerLayer); ++i) {
    if (shapes.layer[i].r > 0) n.Add(C, shapes.layer[i].r * T);
  }
  if (experts) n.Add(ExpertActivationBytes(c, shapes, C, T));
  return n.bytes();
}

// Of the linears [begin, end).
int64_t LargestRank(const std::array<LinearShape, kLinearsPerLayer>& linears, LinearIndex begin,
                    LinearIndex end) {
  int64_t r = 0;
  for (size_t i = begin; i < end; ++i) r = std::max(r, linears[i].r);
  return r;
}

// Scratch of one low-rank product: (T, R) in f32 and in C.
size_t LowRankScratch(int64_t T, int64_t r, DType C) {
  Counter n;
  if (r == 0) return 0;
  n.Add(kF32, T * r);
  n.Add(C, T * r);
  return n.bytes();
}

size_t AttentionForwardScratch(const ModelConfig& c, const LinearShapes& shapes, int64_t T,
                               DType C) {
  Counter n;
  n.Add(C, T * c.hidden_size);
  n.Add(kF32, T * c.q_size());
  return n.bytes() + LowRankScratch(T, LargestRank(shapes.layer, kQ, kGate), C);
}

size_t MlpForwardScratch(const ModelConfig& c, const LinearShapes& shapes, int64_t T, DType C) {
  Counter n;
  n.Add(C, T * c.hidden_size);
  n.Add(C, T * c.intermediate_size);
  // Gate and up, where a bias is added in f32.
  for (int i = 0; i < (c.mlp_bias ? 2 : 0); ++i) n.Add(kF32, T * c.intermediate_size);
  return n.bytes() + LowRankScratch(T, LargestRank(shapes.layer, kGate, kLinearsPerLayer), C);
}

// Mirrors ExpertsForward, whatever the router says: an expert may have every token.
size_t ExpertForwardScratch(const ModelConfig& c, const LinearShapes& shapes, int64_t T, DType C) {
  Counter n, expert;
  n.Add(C, T * c.hidden_size);
  n.Add(kF32, T * c.num_experts);
  expert.Add(C, T * c.hidden_size);
  expert.Add(C, T * c.moe_intermediate_size);
  expert.Add(kF32, T * c.hidden_size);
  return n.bytes() + std::max(expert.bytes() + LowRankScratch(T, LargestRank(shapes.expert), C),
                              LowRankScratch(T, shapes.router.r, C));
}

// Mirrors AttentionPartBackward.
size_t AttentionBackwardScratch(const ModelConfig& c, const LinearShapes& shapes, int64_t T,
                                DType C) {
  Counter n;
  const int64_t r = LargestRank(shapes.layer, kQ, kGate);
  n.Add(C, T * c.hidden_size);
  n.Add(kF32, T * c.q_size());
  if (r > 0) n.Add(C, r * T);
  n.Add(kF32, T * c.q_size());
  for (int i = 0; i < 2; ++i) n.Add(kF32, T * c.kv_size());
  n.Add(kF32, T * c.hidden_size);
  n.Add(C, T * c.q_size());
  if (r > 0) n.Add(C, r * T);
  return n.bytes() + LowRankScratch(T, r, C);
}

// Mirrors MlpPartBackward.
size_t MlpBackwardScratch(const ModelConfig& c, const LinearShapes& shapes, int64_t T, DType C) {
  Counter n;
  const int64_t r = LargestRank(shapes.layer, kGate, kLinearsPerLayer);
  n.Add(C, T * c.hidden_size);
  n.Add(kF32, T * c.intermediate_size);
  for (int i = 0; i < 3; ++i) n.Add(C, T * c.intermediate_size);  // dgate, dup, h
  for (int i = 0; i < 3 && r > 0; ++i) n.Add(C, r * T);
  n.Add(kF32, T * c.hidden_size);
  return n.bytes() + LowRankScratch(T, r, C);
}

// Mirrors ExpertPartBackward and ExpertsBackward.
size_t ExpertBackwardScratch(const ModelConfig& c, const LinearShapes& shapes, int64_t T, DType C) {
  Counter n, router;
  const int64_t F = c.moe_intermediate_size;
  n.Add(C, T * c.hidden_size);
  n.Add(kF32, T * c.hidden_size);
  n.Add(C, T * c.hidden_size);
  for (int i = 0; i < 3; ++i) n.Add(C, T * F);  // dgate, dup, h
  n.Add(kF32, T * F);
  n.Add(kF32, T * c.hidden_size);
  n.Add(kF32, T * c.num_experts_per_tok);
  for (const LinearShape& linear : shapes.expert) {
    if (linear.r > 0) n.Add(C, linear.r * T);
  }
  router.Add(C, T * c.num_experts);
  if (shapes.router.r > 0) router.Add(C, shapes.router.r * T);
  return n.bytes() + std::max(LowRankScratch(T, LargestRank(shapes.expert), C),
                              router.bytes() + LowRankScratch(T, shapes.router.r, C));
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

// Dense layers and layers of experts: how many, and what one of them takes.
struct LayerKind {
  int64_t count;
  size_t activations, forward, backward;  // the latter two: scratch
};

std::vector<LayerKind> LayerKinds(const ModelConfig& c, const LinearShapes& shapes, DType C,
                                  int64_t T) {
  const int64_t expert_layers = c.num_expert_layers();
  const size_t forward = AttentionForwardScratch(c, shapes, T, C);
  const size_t backward = AttentionBackwardScratch(c, shapes, T, C);
  std::vector<LayerKind> kinds;
  if (expert_layers < c.num_hidden_layers) {
    kinds.push_back({c.num_hidden_layers - expert_layers, LayerBytes(c, shapes, C, T, false),
                     std::max(forward, MlpForwardScratch(c, shapes, T, C)),
                     std::max(backward, MlpBackwardScratch(c, shapes, T, C))});
  }
  if (expert_layers > 0) {
    kinds.push_back({expert_layers, LayerBytes(c, shapes, C, T, true),
                     std::max(forward, ExpertForwardScratch(c, shapes, T, C)),
                     std::max(backward, ExpertBackwardScratch(c, shapes, T, C))});
  }
  return kinds;
}

size_t ArenaBytesOf(const ModelConfig& c, const LinearShapes& shapes, Recompute recompute, DType C,
                    int64_t T, bool backward) {
  Counter n;
  n.Add(kF32, T * c.hidden_size);  // the residual
  Counter rope;
  rope.Add(kF32, T * c.head_dim / 2);
  rope.Add(kF32, T * c.head_dim / 2);
  const std::vector<LayerKind> kinds = LayerKinds(c, shapes, C, T);
  if (!backward) {
    size_t layers = 0;
    for (const LayerKind& kind : kinds) layers = std::max(layers, kind.activations + kind.forward);
    return n.bytes() + std::max(layers + rope.bytes(), HeadBytes(c, T, shapes.head.r, C, false));
  }
  Counter kept, dhidden;
  size_t up = 0, down = 0;  // what the pass through one layer takes
  for (const LayerKind& kind : kinds) {
    if (recompute == Recompute::kNone) {
      for (int64_t l = 0; l < kind.count; ++l) kept.Add(kind.activations);
      up = std::max(up, kind.forward);
      down = std::max(down, kind.backward);
    } else {
      for (int64_t l = 0; l < kind.count; ++l) kept.Add(kF32, T * c.hidden_size);
      up = std::max(up, kind.activations + kind.forward);
      down = std::max(down, kind.activations + std::max(kind.backward, kind.forward));
    }
  }
  dhidden.Add(kF32, T * c.hidden_size);
  const size_t head = dhidden.bytes() + HeadBytes(c, T, shapes.head.r, C, true);
  return n.bytes() + kept.bytes() +
         std::max({up + rope.bytes(), head, dhidden.bytes() + rope.bytes() + down});
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

// Where ranks differ between layers, the largest of each kind of linear stands for all.
void SetRanks(const BlockWeights& block, const LoraWeights& adapter, LinearShapes* shapes) {
  const auto set = [&](LinearShape* shape, const Linear& linear) {
    const LoraFactors* pair = adapter.Find(linear);
    if (pair != nullptr) shape->r = std::max(shape->r, pair->r);
  };
  if (const auto* attention = std::get_if<AttentionWeights>(&block)) {
    set(&shapes->layer[kQ], attention->q_proj);
    set(&shapes->layer[kK], attention->k_proj);
    set(&shapes->layer[kV], attention->v_proj);
    set(&shapes->layer[kO], attention->o_proj);
  } else if (const auto* mlp = std::get_if<MlpWeights>(&block)) {
    set(&shapes->layer[kGate], mlp->gate_proj);
    set(&shapes->layer[kUp], mlp->up_proj);
    set(&shapes->layer[kDown], mlp->down_proj);
  } else if (const auto* moe = std::get_if<MoeWeights>(&block)) {
    set(&shapes->router, moe->router);
    for (const ExpertWeights& expert : moe->experts) {
      set(&shapes->expert[0], expert.gate_proj);
      set(&shapes->expert[1], expert.up_proj);
      set(&shapes->expert[2], expert.down_proj);
    }
  }
}

}  // namespace

size_t ArenaBytes(const Model& model, const LoraWeights* adapter, Recompute recompute, int64_t T,
                  bool backward) {
  LinearShapes shapes = PlainShapes(model.config());
  if (adapter != nullptr) {
    for (const LayerWeights& layer : model.weights().layers) {
      for (const Sublayer& sublayer : layer.sublayers) {
        for (const BlockWeights& block : sublayer.branches) SetRanks(block, *adapter, &shapes);
      }
    }
    const LoraFactors* head = adapter->Find(model.weights().lm_head);
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
  ForEachShape(c, shapes, [&](const LinearShape& linear, int64_t, int64_t active) {
    add(linear, static_cast<double>(active));
  });
  add(shapes.head, trained_fraction);
  // Scores and values: 2 products forward and 4 backward (scores computed again are not counted),
  // over the causal half.
  const double pairs = static_cast<double>(shape.sequence_length + 1) / 2;
  flops.attention = static_cast<double>(c.num_hidden_layers * c.q_size()) * pairs * 2 * (2 + 4);
  return flops;
}

int64_t CountTrainable(const ModelConfig& c, const TrainingShape& shape) {
  if (shape.method == Method::kFull) return CountParameters(c);
  const LinearShapes shapes = AdaptedShapes(c, shape);
  int64_t layers = 0;
  ForEachShape(c, shapes, [&](const LinearShape& linear, int64_t count, int64_t) {
    layers += count * linear.r * (linear.in + linear.out);
  });
  if (shape.lora_shared_outer) {  // one factor on the hidden side where there were E
    for (const LinearShape& linear : shapes.expert) {
      layers -= c.num_expert_layers() * (c.num_experts - 1) * linear.r * c.hidden_size;
    }
  }
  return layers + shapes.head.r * (shapes.head.in + shapes.head.out);
}

}  // namespace lorikeet
