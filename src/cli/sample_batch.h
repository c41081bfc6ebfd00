// Batches to compare the logits of models on.
#pragma once
#include <cstdint>
#include <vector>

#include "chat/bundle.h"
#include "model/batch.h"

namespace lorikeet {

// Appends a sequence, cut so that the batch has `max_tokens` at most.
void AddSequence(const std::vector<int32_t>& tokens, int64_t max_tokens, Batch* batch);

// A sequence of built-in text; of random ids if the model has no tokenizer (null) or if its
// vocabulary has no token of the text.
Batch SampleBatch(const TokenizerBundle* tokenizer, int64_t vocab_size, int64_t max_tokens);

}  // namespace lorikeet
