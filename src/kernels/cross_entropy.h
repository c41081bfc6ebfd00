// Log-probabilities of a chunk of logit rows, their gradient, and entropy and argmax of the same
// rows. Every row is computed by itself, in an order that depends on V only.
#pragma once
#include <cstdint>
#include <span>

#include "core/tensor.h"

namespace lorikeet {

// lse = log(sum(exp(logits))), logprob = logits[target] - lse. logits (rows,V) f32, logprob and lse
// (rows) f32; 0 <= target < V. A row with a NaN or +infinity gives NaN.
void TargetLogprobs(const Tensor& logits, std::span<const int32_t> targets, const Tensor& logprob,
                    const Tensor& lse);

// Log-probabilities of several tokens of each row, with the bits that TargetLogprobs gives each by
// itself. tokens and logprob (rows,n) f32, row by row.
void TokenLogprobs(const Tensor& logits, std::span<const int32_t> tokens, const Tensor& logprob);

// dlogits = g * (onehot(target) - softmax(logits)); g (rows) f32 = dloss/dlogprob, dlogits (rows,V)
// f32|bf16. An f32 dlogits may be logits itself. inverse_cap: logits came from CapLogits, were
// perhaps scaled afterwards, and are cap * tanh(x / cap) with cap = 1 / inverse_cap; dlogits is
// then the gradient of x, times 1 - (logits / cap)^2. 0: they were not capped.
void LogprobBackward(const Tensor& logits, std::span<const int32_t> targets, const Tensor& lse,
                     const Tensor& g, const Tensor& dlogits, float inverse_cap = 0);

// entropy = -sum(p * log(p)) in nats, (rows) f32.
void RowEntropy(const Tensor& logits, const Tensor& lse, const Tensor& entropy);

// logits *= factor, each rounded once: applies a temperature of 1 / factor. Sampling and training
// both call it, so that they get the same bits.
void ScaleLogits(const Tensor& logits, float factor);

// logits = cap * tanh(logits / cap), cap > 0.
void CapLogits(const Tensor& logits, float cap);

// Index of the largest logit of every row, the first one of equals; NaN is never the largest.
void RowArgmax(const Tensor& logits, std::span<int32_t> index);

}  // namespace lorikeet
