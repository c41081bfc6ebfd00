// Test helpers for models: golden models and random batches.
#pragma once
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/random.h"
#include "kernels/matmul/matmul.h"
#include "model/batch.h"
#include "model/loss_head.h"
#include "model/transformer.h"

namespace lorikeet {

inline std::string GoldenDir(const std::string& family) {
  return std::string(LORIKEET_SOURCE_DIR) + "/tests/golden/model/" + family;
}

// Folders of tests/golden/model, sorted: a family is tested as soon as its golden is there.
inline std::vector<std::string> GoldenFamilies() {
  std::vector<std::string> families;
  for (const auto& entry : std::filesystem::directory_iterator(GoldenDir(""))) {
    if (entry.is_directory()) families.push_back(entry.path().filename().string());
  }
  std::sort(families.begin(), families.end());
  return families;
}

inline std::vector<DType> ComputeDtypes() {
  if (HasNativeBf16()) return {DType::kF32, DType::kBF16};
  return {DType::kF32};
}

// Sequences of random tokens; a sequence's tokens depend on its length alone.
struct RandomBatch {
  Batch batch;
  std::vector<int32_t> targets;
  std::vector<float> weights;

  RandomBatch(const std::vector<int64_t>& lengths, int64_t vocab_size) {
    batch.cu_seqlens = {0};
    for (const int64_t length : lengths) {
      const RandomStream random(static_cast<uint64_t>(length), "model_test");
      for (int64_t i = 0; i < length; ++i) {
        const auto below = static_cast<uint64_t>(vocab_size);
        batch.tokens.push_back(
            static_cast<int32_t>(random.Below(static_cast<uint64_t>(2 * i), below)));
        targets.push_back(
            static_cast<int32_t>(random.Below(static_cast<uint64_t>(2 * i + 1), below)));
        batch.positions.push_back(static_cast<int32_t>(i));
        weights.push_back(i % 3 == 0 ? 0.0F : 1.0F);
      }
      batch.cu_seqlens.push_back(static_cast<int32_t>(batch.tokens.size()));
    }
  }
  TokenLoss Loss() const {
    return [this](int64_t row, float logprob) {
      const float weight = weights[static_cast<size_t>(row)];
      return TokenGrad{-static_cast<double>(weight) * logprob, -weight};
    };
  }
};

// The adapter of a test's pass, in training or not; null: none.
struct Adapted {
  const LoraWeights* weights = nullptr;
  const LoraTraining* training = nullptr;

  Adapted(std::nullptr_t) {}
  Adapted(const LoraWeights* w) : weights(w) {}
  Adapted(const LoraAdapter* adapter)
      : weights(adapter == nullptr ? nullptr : &adapter->weights()) {}
  Adapted(const LoraTraining* t) : weights(t == nullptr ? nullptr : &t->weights()), training(t) {}
};

// Log-probabilities of the targets, and when `backward`, gradients added.
inline std::vector<float> RunBatch(const Model& model, const Adapted& adapter,
                                   const RandomBatch& random, Recompute recompute, bool backward,
                                   Arena& arena) {
  const ArenaScope scope(arena);
  Activations kept;
  kept.recompute = recompute;
  ForwardOptions options;
  options.adapter = adapter.weights;
  options.keep = backward ? &kept : nullptr;
  const Tensor hidden = Forward(model, random.batch, options, arena);
  const LossHeadOutput head = LossHead(model, adapter.weights,
                                       {.hidden = hidden,
                                        .targets = random.targets,
                                        .weights = random.weights,
                                        .training = adapter.training},
                                       random.Loss(), backward, arena);
  if (backward) Backward(model, random.batch, adapter.training, kept, head.dhidden, arena);
  return head.logprobs;
}

}  // namespace lorikeet
