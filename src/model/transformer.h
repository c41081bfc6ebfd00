// The network: one forward for training and decoding, and its backward.
#pragma once
#include <functional>
#include <span>

#include "core/arena.h"
#include "model/activations.h"
#include "model/adapter_rows.h"
#include "model/batch.h"
#include "model/kv_cache.h"
#include "model/lora_training.h"
#include "model/weights.h"

namespace lorikeet {

struct ForwardOptions {
  const LoraWeights* adapter = nullptr;  // adapter of all rows; null: the base alone
  // Instead of `adapter`, and without `keep`: row ranges with an adapter each, ascending. A row has
  // the same bits as with its adapter for all rows.
  std::span<const AdapterRows> adapter_rows;
  Activations* keep = nullptr;  // training: filled for Backward
  // Decoding: keys and values are written to the pages of each sequence's state, which hold all of
  // its positions. A page that is written to belongs to one sequence only.
  KvCache* cache = nullptr;
  std::span<const SequenceState* const> states;  // (S)
  // For diagnosis: called after every layer with its index and the residual (T, D) f32.
  std::function<void(int64_t layer, const Tensor& residual)> on_layer;
};

// Returns the last residual (T, D) f32, before the final norm, taken from the arena; the
// activations in `keep` are taken after it. A sequence's rows do not depend on the rest of the
// batch, bit for bit, or on whether it continues a prefix.
Tensor Forward(const Model& model, const Batch& batch, const ForwardOptions& options, Arena& arena);

// Adds to the gradients of the adapter (null: none) and of a trainable model. dresidual (T, D) f32
// is the gradient of Forward's result, and is used as scratch. The backward ends at the lowest
// trained module.
void Backward(const Model& model, const Batch& batch, const LoraTraining* training,
              const Activations& kept, const Tensor& dresidual, Arena& arena);

}  // namespace lorikeet
