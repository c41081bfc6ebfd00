// The learning rate a run gets when the person names none. The rule is that of "LoRA Without
// Regret" (Schulman and Thinking Machines Lab, 2025): LR = 5e-5 * M * (2000 / hidden_size)^p, with
// p fitted by family and M the multiplier of LoRA over full fine-tuning. It was fitted for batches
// of 128 sequences, Adam, alpha = 32 with the factor 1/r. What it leaves open was measured
// (docs/study): the best rate goes as the square root of the batch, and a schedule that decays to 0
// wants a higher peak.
#pragma once
#include <cstdint>
#include <string>

#include "train/schedule.h"

namespace lorikeet {

struct LearningRateQuery {
  std::string model_type;   // of config.json: "llama", "qwen2", "qwen3", ...
  int64_t hidden_size = 0;  // D
  bool lora = true;
  int rank = 32;  // of the adapters; not used for full fine-tuning
  // The adapters' scale is alpha / sqrt(rank): sqrt(rank) times the one that the rule is for, so
  // the rate is divided by that.
  bool rslora = false;
  int64_t planned_steps = 0;  // optimizer steps of the whole run; 0: unknown, taken for a long run
  int64_t batch_size = 0;     // examples of an optimizer step; 0: unknown, taken for the rule's 128
  ScheduleKind schedule = ScheduleKind::kConstant;
  bool rl = false;  // whose figures stand for batches of their own: batch_size does not count
};

struct LearningRateAdvice {
  double value = 0;
  std::string reason;  // one sentence with the numbers, to be printed
};

// M of supervised LoRA. Up to 100 steps 15 for every rank: B starts at 0, so A hardly counts, and
// the 1/r factor makes the first updates of all ranks alike. From 1000 steps on the optimum of the
// article's figure 2 (one epoch of Tulu 3, Llama-3.1-8B): 9.8 at rank 512, 7.3 at 32, 4.8 at 4, 2.7
// at 1. In between, geometric in the logarithm of the steps.
double LoraMultiplier(int rank, int64_t planned_steps);

LearningRateAdvice DefaultLearningRate(const LearningRateQuery& query);

}  // namespace lorikeet
