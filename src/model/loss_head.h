// Final norm, lm_head and loss in one, by chunks of rows, so that the (T, V) logits never exist.
// Every training loss of this engine is a function of the targets' log-probabilities and is passed
// in here as a `Loss`. Rows of weight 0 are not computed.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <variant>
#include <vector>

#include "core/arena.h"
#include "model/adapter_rows.h"
#include "model/lora_training.h"
#include "model/weights.h"

namespace lorikeet {

struct TokenGrad {
  double loss = 0;     // the row's loss, times its weight
  float dlogprob = 0;  // d loss / d logprob
};
// A loss of each row by itself. Called once for every row with a target, in order of rows.
using TokenLoss = std::function<TokenGrad(int64_t row, float logprob)>;

struct BatchLoss {
  double loss = 0;
  std::vector<float> dlogprob;  // (T) d loss / d logprob; rows of weight 0 are ignored
};
// A loss that couples rows. Called once, with the log-probabilities (T) of all rows, 0 in rows of
// weight 0.
using LossFunction = std::function<BatchLoss(std::span<const float> logprobs)>;

// A TokenLoss takes a single pass over the head, a LossFunction two (one if the rows fit into a
// chunk): log-probabilities first, then gradients. The network below the head runs once in either
// case.
using Loss = std::variant<TokenLoss, LossFunction>;

struct LossHeadInput {
  Tensor hidden;                           // (T, D) f32, the last residual
  std::span<const int32_t> targets;        // (T)
  std::span<const float> weights;          // (T); rows of weight 0 are left out
  double temperature = 1;                  // log-probabilities are of softmax(logits / temperature)
  const LoraTraining* training = nullptr;  // gradients of an adapted lm_head; null: none
};

struct LossHeadOutput {
  double loss_sum = 0;
  std::vector<float> logprobs;  // (T) of the targets; 0 in rows of weight 0
  Tensor dhidden;               // (T, D) f32, from the arena; empty when forward only
};

// The log-probability of a row has the bits that SampleRows (sample/sampler.h) gives for the same
// temperature. backward: also adds to the gradients of lm_head and the final norm, where they are
// trained. adapter may be null.
LossHeadOutput LossHead(const Model& model, const LoraWeights* adapter, const LossHeadInput& input,
                        const Loss& loss, bool backward, Arena& arena);

// logits (n, V) f32 of n rows of the last residual (n, D) f32, whose adapters are `adapters`
// (ascending ranges; rows in none use the base alone). A row's bits do not depend on the others.
void HeadLogits(const Model& model, std::span<const AdapterRows> adapters, const Tensor& hidden,
                const Tensor& logits, Arena& arena);

// Number of rows per chunk of the head; it bounds the logits' memory.
int64_t HeadChunkRows(const ModelConfig& config);

}  // namespace lorikeet
