#include "cli/sample_batch.h"

#include <algorithm>

#include "core/random.h"

namespace lorikeet {
namespace {

constexpr const char* kSampleText =
    "Parrots are birds with a strong curved beak, an upright stance and clawed feet. Many of them "
    "are brightly coloured. The lorikeet feeds on nectar and soft fruit, and its tongue ends in a "
    "tuft of papillae.\n\nQ: What is 17 + 25?\nA: 42.\n\ndef area(width, height):\n    return "
    "width * height\n\nWir gehen heute Abend ins Kino. Il fait beau aujourd'hui. Mañana será otro "
    "día. 今日はいい天気です。\n\nDear reader, whoever asks for the shortest way should first say "
    "where they are; the answer depends on little else. In 1969 two people walked on the Moon for "
    "the first time, and twelve had done so by the end of 1972.";

}  // namespace

void AddSequence(const std::vector<int32_t>& tokens, int64_t max_tokens, Batch* batch) {
  if (batch->cu_seqlens.empty()) batch->cu_seqlens.push_back(0);
  const int64_t n =
      std::min<int64_t>(static_cast<int64_t>(tokens.size()), max_tokens - batch->num_tokens());
  if (n <= 0) return;
  batch->tokens.insert(batch->tokens.end(), tokens.begin(), tokens.begin() + n);
  for (int32_t i = 0; i < n; ++i) batch->positions.push_back(i);
  batch->cu_seqlens.push_back(static_cast<int32_t>(batch->num_tokens()));
}

Batch SampleBatch(const TokenizerBundle* tokenizer, int64_t vocab_size, int64_t max_tokens) {
  Batch batch;
  std::vector<int32_t> sample;
  if (tokenizer != nullptr) {
    sample = tokenizer->tokenizer.Encode(kSampleText, /*add_special_tokens=*/true);
    std::erase_if(sample, [&](int32_t id) { return id >= vocab_size; });
  }
  const RandomStream random(1, "merge verify");
  for (uint64_t i = 0; sample.size() < static_cast<size_t>(max_tokens); ++i) {
    if (tokenizer != nullptr && !sample.empty()) break;
    sample.push_back(static_cast<int32_t>(random.Below(i, static_cast<uint64_t>(vocab_size))));
  }
  AddSequence(sample, max_tokens, &batch);
  return batch;
}

}  // namespace lorikeet
