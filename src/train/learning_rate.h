// The default learning rate. The rule is that of "LoRA Without Regret" (Schulman and Thinking
// Machines Lab, 2025): LR = 5e-5 * M * (2000 / hidden_size)^p, with p fitted by family and M the
// multiplier of LoRA over full fine-tuning. It was fitted for batches of 128 sequences, Adam, alpha
// = 32 with the factor 1/r. We measured what it does not cover (docs/study): the best rate grows
// with the square root of the batch size, and is higher for a schedule that decays to 0.
#pragma once
#include <cstdint>
#include <string>

#include "train/schedule.h"

namespace lorikeet {

struct LearningRateQuery {
  std::string model_type;   // from config.json: "llama", "qwen2", "qwen3", ...
  int64_t hidden_size = 0;  // D
  bool lora = true;
  int rank = 32;  // rank of the adapters; not used for full fine-tuning
  // The adapters' scale is alpha / sqrt(rank), sqrt(rank) times that of the rule; the rate is
  // divided by sqrt(rank).
  bool rslora = false;
  int64_t planned_steps = 0;  // optimizer steps of the whole run; 0: unknown, taken as a long run
  int64_t batch_size = 0;     // examples of an optimizer step; 0: unknown, taken as the rule's 128
  ScheduleKind schedule = ScheduleKind::kConstant;
  bool rl = false;  // reinforcement learning; its rule does not depend on batch_size
};

struct LearningRateAdvice {
  double value = 0;
  std::string reason;  // one sentence with the numbers, for the user
};

// M for supervised LoRA. Up to 100 steps: 15 for every rank, since B starts at 0, so A hardly
// matters, and the 1/r factor makes the first updates of all ranks alike. From 1000 steps: the
// optimum of the article's figure 2 (one epoch of Tulu 3, Llama-3.1-8B), 9.8 at rank 512, 7.3 at
// 32, 4.8 at 4, 2.7 at 1. In between: interpolated geometrically in the logarithm of the steps.
double LoraMultiplier(int rank, int64_t planned_steps);

LearningRateAdvice DefaultLearningRate(const LearningRateQuery& query);

}  // namespace lorikeet
