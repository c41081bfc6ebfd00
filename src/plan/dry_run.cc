#include "plan/dry_run.h"

#include <algorithm>

#include "core/dry.h"
#include "model/loss_head.h"
#include "model/transformer.h"

namespace lorikeet {
namespace {

Batch BatchOf(const std::vector<int64_t>& lengths) {
  Batch batch{.cu_seqlens = {0}};
  for (const int64_t length : lengths) {
    for (int64_t i = 0; i < length; ++i) batch.positions.push_back(static_cast<int32_t>(i));
    batch.cu_seqlens.push_back(static_cast<int32_t>(batch.positions.size()));
  }
  batch.tokens.assign(batch.positions.size(), 0);
  return batch;
}

DryPass PassOf(const Arena& arena) { return {arena.HighMark(), arena.HoldingsAtHighMark()}; }

LoraConfig AdapterOf(const TrainingShape& shape) {
  LoraConfig config;
  config.r = shape.lora_r;
  config.expert_r = shape.lora_expert_rank;
  config.shared_outer = shape.lora_shared_outer;
  config.use_dora = shape.use_dora;
  config.target_modules = shape.target_modules;
  return config;
}

// kept null: without the backward.
DryPass Run(const Model& model, const LoraWeights* adapter, const LoraTraining* training,
            Activations* kept, const std::vector<int64_t>& lengths) {
  const DryScope dry;
  Arena arena(0);
  const Batch batch = BatchOf(lengths);
  const Tensor hidden = Forward(model, batch, {.adapter = adapter, .keep = kept}, arena);
  const std::vector<float> weights(batch.tokens.size(), 1.0F);
  const LossHeadOutput head = LossHead(
      model, adapter,
      {.hidden = hidden, .targets = batch.tokens, .weights = weights, .training = training},
      [](int64_t, float) { return TokenGrad(); },
      /*backward=*/kept != nullptr, arena);
  if (kept != nullptr) Backward(model, batch, training, *kept, head.dhidden, arena);
  return PassOf(arena);
}

}  // namespace

DryPass DryForward(const Model& model, const LoraWeights* adapter,
                   const std::vector<int64_t>& lengths) {
  return Run(model, adapter, nullptr, nullptr, lengths);
}

DryPass DryForwardBackward(const Model& model, const LoraTraining* training, Recompute recompute,
                           const std::vector<int64_t>& lengths) {
  Activations kept;
  kept.recompute = recompute;
  return Run(model, training == nullptr ? nullptr : &training->weights(), training, &kept, lengths);
}

DryPass DryDecode(const Model& model, const LoraWeights* adapter, int64_t tokens, int64_t rows,
                  bool mixed) {
  const DryScope dry;
  Arena arena(0);
  KvCache cache(model.config(), model.compute(), KvCache::PagesFor(tokens));
  const Batch batch = BatchOf({tokens});
  SequenceState state;
  for (int32_t page = 0; page < cache.pages(); ++page) state.pages.push_back(page);
  const SequenceState* const states[] = {&state};
  const auto adapters = [&](int64_t n) {
    return mixed && n > 1 ? std::vector<AdapterRows>{{0, 1, adapter}, {1, n, adapter}}
                          : AllRows(adapter, n);
  };
  const std::vector<AdapterRows> of_tokens = adapters(tokens), of_rows = adapters(rows);
  const Tensor hidden =
      Forward(model, batch, {.adapter_rows = of_tokens, .cache = &cache, .states = states}, arena);
  const Tensor last = arena.Take("logits", DType::kF32, {rows, hidden.cols()});
  const Tensor logits = arena.Take("logits", DType::kF32, {rows, model.config().vocab_size});
  HeadLogits(model, of_rows, last, logits, arena);
  return PassOf(arena);
}

RunSkeleton::RunSkeleton(const ModelConfig& config, const TrainingShape& shape)
    : model_(Model::Skeleton(config, shape.compute)) {
  const DryScope dry;
  if (shape.method == Method::kFull) {
    optimizer_ = AdamWOptimizer(model_->MakeTrainable());
    return;
  }
  lora_.emplace(LoraAdapter::Create(*model_, AdapterOf(shape), /*seed=*/0));
  optimizer_ = AdamWOptimizer(lora_->params());
}

void RunSkeleton::OptimStep() {
  const DryScope dry;
  optimizer_.Step({});
}

}  // namespace lorikeet
