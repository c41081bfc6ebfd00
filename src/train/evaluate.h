// Evaluation of the loss on held-out data.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "data/example.h"
#include "train/training_run.h"

namespace lorikeet {

struct Evaluation {
  double nll = 0;  // nats per trained token, each counted with its weight
  double weight_sum = 0;
  int64_t tokens = 0, trained_tokens = 0;
  double seconds = 0;

  double Perplexity() const;
  double BitsPerToken() const;
};

// Returns nothing if `stop` (may be empty; called between pieces) returned true.
std::optional<Evaluation> Evaluate(TrainingRun& run, const std::vector<Example>& examples,
                                   const std::function<bool()>& stop = {});

}  // namespace lorikeet
