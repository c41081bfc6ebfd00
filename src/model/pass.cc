#include "model/pass.h"

#include <algorithm>

#include "core/error.h"
#include "kernels/cast.h"

namespace lorikeet {

void Pass::Project(const Linear& linear, std::span<const int32_t> tokens, const Tensor& x,
                   const Tensor& y, bool accumulate, const Tensor& lora_x_t) const {
  if (adapter() != nullptr || adapters.empty()) {
    LinearForward(linear, Lora(linear), x, y, accumulate, lora_x_t, arena);
  } else {
    ProjectRows(linear, Among(tokens, adapters), x, y, accumulate, lora_x_t, arena);
  }
}

Tensor Pass::TakeLoraX(const Linear& linear) const {
  const LoraFactors* lora = Lora(linear);
  return lora == nullptr ? Tensor() : arena.Take("activations", compute(), {lora->r, T()});
}

Tensor Pass::TakeLoraDy(const Linear& linear) const {
  const LoraFactors* lora = Lora(linear);
  return lora == nullptr ? Tensor() : arena.Take("lora products", compute(), {lora->r, T()});
}

namespace {

void CheckPositions(const RopeTable& table, const Batch& batch) {
  if (table.end() == 0 || batch.positions.empty()) return;
  if (*std::max_element(batch.positions.begin(), batch.positions.end()) < table.end()) return;
  Fail(ErrorCode::kUnsupported,
       "a sequence is longer than original_max_position_embeddings, {} tokens, up to which rope "
       "type longrope is computed; give shorter ones, or a lower max_length",
       table.end());
}

}  // namespace

Pass MakePass(const Model& model, const Batch& batch, std::span<const AdapterRows> adapters,
              const LoraTraining* training, KvCache* cache,
              std::span<const SequenceState* const> states, Arena& arena) {
  Pass pass{model, batch, adapters, training, cache, states, arena};
  for (const RopeTable& table : model.ropes()) {
    CheckPositions(table, batch);
    const auto half = static_cast<int64_t>(table.inv_freq().size());
    const HeadRope& rope = pass.ropes.emplace_back(
        HeadRope{pass.Take("rope table", DType::kF32, half),
                 pass.Take("rope table", DType::kF32, half), model.config().rope_interleaved});
    table.FillCosSin(batch.positions, rope.cos, rope.sin);
  }
  if (cache == nullptr) return pass;
  for (int64_t s = 0; s < batch.num_sequences(); ++s) {
    const std::vector<int32_t>& pages = states[s]->pages;
    for (int32_t t = batch.cu_seqlens[s]; t < batch.cu_seqlens[s + 1]; ++t) {
      const int64_t page = batch.positions[t] / kPagePositions;
      CHECK(page < static_cast<int64_t>(pages.size()));
      pass.cache_rows.push_back(pages[page] * kPagePositions + batch.positions[t] % kPagePositions);
    }
  }
  return pass;
}

void NormedInput::Write(const Tensor& x) const {
  if (norm == nullptr) return Convert(xhat, x);
  NormScale(*norm, xhat, x);
}

}  // namespace lorikeet
