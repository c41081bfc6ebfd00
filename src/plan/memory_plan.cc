#include "plan/memory_plan.h"

#include <algorithm>

#include "core/parallel.h"
#include "kernels/attention.h"
#include "kernels/expert_rows.h"
#include "model/kv_cache.h"
#include "model/loss_head.h"

namespace lorikeet {
namespace {

// Measured (docs/performance.md, "Memory"): code, libraries and heap of a run with a model of a few
// kilobytes; memory per thread, mostly packed operands of products; memory of a tokenizer per entry
// of its vocabulary.
constexpr size_t kProgramBytes = size_t{20} << 20;
constexpr size_t kThreadBytes = size_t{3} << 19;
constexpr size_t kVocabularyBytes = 300;

template <class Fn>
void ForEachAttention(const ModelConfig& c, const Fn& fn) {
  for (const LayerSpec& layer : c.layers) {
    for (const SublayerSpec& sublayer : layer.sublayers) {
      for (const BlockSpec& branch : sublayer.branches) {
        if (const auto* attention = std::get_if<AttentionSpec>(&branch)) fn(*attention);
      }
    }
  }
}

// The largest layer's; threads keep their memory from layer to layer.
size_t AttentionBytes(const ModelConfig& c, const TrainingShape& shape) {
  const int64_t longest =
      shape.longest_sequence > 0 ? shape.longest_sequence : shape.sequence_length;
  int64_t most = 0;
  ForEachAttention(c, [&](const AttentionSpec& s) {
    most =
        std::max(most, AttentionScratchBytes(
                           {s.kv_heads, s.group(), s.head_dim, s.score_scale, s.window, s.softcap},
                           shape.compute, shape.tokens_per_microbatch,
                           std::max<int64_t>(longest, 1), NumThreads(), shape.shared_prefixes));
  });
  return static_cast<size_t>(most);
}

size_t SumOver(const std::vector<Param>& params, Tensor Param::*part) {
  int64_t bytes = 0;
  for (const Param& param : params) bytes += (param.*part).bytes();
  return static_cast<size_t>(bytes);
}

// The weights of a frozen base.
MemoryPart WeightsPart(const RunSkeleton& run, const TrainingShape& shape, DType source_dtype) {
  const bool as_stored = source_dtype == shape.compute;
  return {as_stored ? "base weights" : "base weights (converted)", run.model().OwnedBytes()};
}

}  // namespace

size_t ForwardArenaBytes(const Model& model, const LoraWeights* adapter, int64_t T) {
  const DryRouting routing(DryRouting::kAllTogether);
  return DryForward(model, adapter, {T}).arena_bytes;
}

size_t TrainingArenaBytes(const Model& model, const LoraTraining* training, Recompute recompute,
                          int64_t T) {
  const DryRouting routing(DryRouting::kAllTogether);
  return DryForwardBackward(model, training, recompute, {T}).arena_bytes;
}

size_t DecodeArenaBytes(const Model& model, const LoraExtent& adapters, int64_t tokens,
                        int64_t rows) {
  const DryRouting routing(DryRouting::kAllTogether);
  if (adapters.rank == 0) return DryDecode(model, nullptr, tokens, rows).arena_bytes;
  const DryScope dry;
  LoraConfig all;
  all.r = all.expert_r = static_cast<int>(adapters.rank);
  all.target_modules.clear();
  all.target_regex = ".*";
  size_t bytes = 0;
  for (const bool dora : {false, true}) {
    if (dora && !adapters.dora) break;
    all.use_dora = dora;
    const LoraAdapter adapter = LoraAdapter::Create(model, all, /*seed=*/0);
    for (const bool mixed : {false, true}) {
      bytes =
          std::max(bytes, DryDecode(model, &adapter.weights(), tokens, rows, mixed).arena_bytes);
    }
  }
  return bytes;
}

size_t ProgramBytes(const ModelConfig& c, const TrainingShape& shape) {
  return kProgramBytes + kThreadBytes * static_cast<size_t>(NumThreads()) +
         kVocabularyBytes * static_cast<size_t>(c.vocab_size) + AttentionBytes(c, shape);
}

std::vector<MemoryPart> PlanTrainingMemory(const ModelConfig& c, const TrainingShape& shape,
                                           DType source_dtype) {
  const RunSkeleton run(c, shape);
  const std::vector<Param>& params = run.optimizer().params();
  std::vector<MemoryPart> parts;
  if (shape.method == Method::kLora) {
    parts.push_back(WeightsPart(run, shape, source_dtype));
    parts.push_back({"adapter", run.training()->adapter().Bytes()});
  } else {
    // The f32 masters are the working copy when products run in f32; otherwise one lies beside
    // them.
    parts.push_back({"weights (f32 masters)", SumOver(params, &Param::value)});
    const size_t copies = SumOver(params, &Param::working);
    if (copies > 0) parts.push_back({"weights (bf16 copy)", copies});
  }
  const size_t gradients = SumOver(params, &Param::grad);
  parts.push_back({"gradients", gradients});
  parts.push_back({"optimizer moments", 2 * gradients});
  parts.push_back(
      {kActivationsPart, TrainingArenaBytes(run.model(), run.training(), shape.recompute,
                                            shape.tokens_per_microbatch)});
  parts.push_back({kProgramPart, ProgramBytes(c, shape)});
  return parts;
}

std::vector<MemoryPart> PlanSamplingMemory(const ModelConfig& c, const TrainingShape& shape,
                                           DType source_dtype, int64_t sequences,
                                           int64_t max_length) {
  const RunSkeleton run(c, shape);
  const DryRouting routing(DryRouting::kAllTogether);
  const DryPass step =
      DryDecode(run.model(), &run.training()->weights(), shape.tokens_per_microbatch,
                std::min(sequences, HeadChunkRows(c)));
  return {WeightsPart(run, shape, source_dtype),
          {"adapter", run.training()->adapter().Bytes()},
          {"key/value cache",
           KvCache::Bytes(c, shape.compute, sequences * KvCache::PagesFor(max_length))},
          {kActivationsPart, step.arena_bytes},
          {kProgramPart, ProgramBytes(c, shape)}};
}

size_t TotalBytes(const std::vector<MemoryPart>& parts) {
  size_t total = 0;
  for (const MemoryPart& part : parts) total += part.bytes;
  return total;
}

size_t PartBytes(const std::vector<MemoryPart>& parts, const std::string& name) {
  for (const MemoryPart& part : parts) {
    if (part.name == name) return part.bytes;
  }
  return 0;
}

FlopsPerToken TrainingFlops(const ModelConfig& c, const TrainingShape& shape,
                            double trained_fraction) {
  const RunSkeleton run(c, shape);
  // Multiply-adds of a token in the weights and in the adapters; of all experts together.
  struct Products {
    int64_t base = 0, low_rank = 0, again = 0;  // again: for DoRA's magnitudes
  } layers, experts, head;
  const Weights& weights = run.model().weights();
  ForEachLinear(weights, [&](const Linear& linear) {
    const bool of_expert = linear.name.find(".experts.") != std::string::npos;
    Products& sum = &linear == &weights.lm_head ? head : of_expert ? experts : layers;
    sum.base += linear.in_features() * linear.out_features();
    const LoraFactors* lora =
        run.training() == nullptr ? nullptr : run.training()->weights().Find(linear);
    if (lora == nullptr) return;
    sum.low_rank += lora->r * (linear.in_features() + linear.out_features());
    if (!lora->gain) return;
    sum.again += linear.in_features() * linear.out_features() + lora->r * linear.out_features();
  });
  const bool full = shape.method == Method::kFull;
  FlopsPerToken flops;
  const auto add = [&](const Products& products, double times) {
    const auto n = static_cast<double>(products.base);
    const auto low_rank = static_cast<double>(products.low_rank);
    flops.forward += times * 2 * (n + low_rank);
    // dx, and for full fine-tuning dW; of an adapter: g and dx through it, dA and dB.
    flops.backward += times * (2 * n + (full ? 2 * n : 4 * low_rank));
    flops.backward += times * 2 * static_cast<double>(products.again);
  };
  add(layers, 1);
  if (c.num_experts > 0) {
    add({experts.base / c.num_experts, experts.low_rank / c.num_experts,
         experts.again / c.num_experts},
        static_cast<double>(c.num_experts_per_tok));
  }
  add(head, trained_fraction);
  // Scores and values: 2 products forward and 4 backward (scores computed again are not counted),
  // over the causal half, or what a window leaves of it.
  const int64_t length = std::max<int64_t>(shape.sequence_length, 1);
  ForEachAttention(c, [&](const AttentionSpec& s) {
    const double pairs =
        static_cast<double>(AttentionPairs(0, length, s.window)) / static_cast<double>(length);
    flops.attention += static_cast<double>(s.q_size()) * pairs * 2 * (2 + 4);
  });
  return flops;
}

int64_t CountTrainable(const ModelConfig& c, const TrainingShape& shape) {
  return RunSkeleton(c, shape).optimizer().NumParameters();
}

}  // namespace lorikeet
