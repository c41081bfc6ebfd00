// The network: one forward for training and decoding, and its visible mirror, the backward.
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
  const LoraWeights* adapter = nullptr;  // of all rows; null: the base alone
  // Instead of `adapter`, without `keep`: row ranges with an adapter each, ascending. A row has the
  // bits that it has with its adapter for all rows.
  std::span<const AdapterRows> adapter_rows;
  Activations* keep = nullptr;  // training: filled for Backward
  // Decoding: keys and values go to the pages of each sequence's state, which hold all of its
  // positions; a page that is written is no other sequence's.
  KvCache* cache = nullptr;
  std::span<const SequenceState* const> states;  // (S)
  // Diagnosis: called after every layer with its index and the residual (T, D) f32.
  std::function<void(int64_t layer, const Tensor& residual)> on_layer;
};

// Returns the last residual (T, D) f32, before the final norm, taken from the arena; what `keep`
// needs is taken after it. A sequence's rows do not depend on the rest of the batch, bit for bit,
// nor on whether it goes on from a prefix.
Tensor Forward(const Model& model, const Batch& batch, const ForwardOptions& options, Arena& arena);

// Adds to the gradients of the adapter (null: none) and of a trainable model. dresidual (T, D) f32
// is the gradient of Forward's result, and is used as scratch. Nothing below the lowest trained
// module is differentiated.
void Backward(const Model& model, const Batch& batch, const LoraTraining* training,
              const Activations& kept, const Tensor& dresidual, Arena& arena);

}  // namespace lorikeet
