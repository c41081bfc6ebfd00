// `JobSettings` are the hyper-parameters of a fine-tuning job as its request gives them, and what
// they become as options of `sft`.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "model/config.h"
#include "recipes/sft_options.h"

namespace lorikeet {

// Open fields are "auto".
struct JobSettings {
  std::optional<double> n_epochs, learning_rate_multiplier, learning_rate, lora_alpha;
  std::optional<int64_t> batch_size, lora_r;
  std::vector<std::string> target_modules;  // empty: all-linear

  // The hyper-parameters of method {"type": "supervised", "supervised": {"hyperparameters": {...}}}
  // or of the older field. Throws ApiError(400) naming the field.
  static JobSettings Read(const OrderedJson& json, const std::string& path);
  Json ToJson() const;  // with "auto" for open fields of OpenAI's
};

// Sets epochs, batch size, rank and modules, and the learning rate if it is given or multiplied.
// Open ones follow the number of examples: about a hundred steps, in 1 to 5 epochs, with a quarter
// of the examples and at most 16 in a batch. Returns lines that say what was taken and why.
std::vector<std::string> ApplyJobSettings(const JobSettings& settings, int64_t examples,
                                          const ModelConfig& model, SftOptions* options);

}  // namespace lorikeet
