#include "train/evaluate.h"

#include <algorithm>
#include <cmath>

#include "core/clock.h"

namespace lorikeet {

double Evaluation::Perplexity() const { return std::exp(nll); }
double Evaluation::BitsPerToken() const { return nll / std::log(2.0); }

std::optional<Evaluation> Evaluate(TrainingRun& run, const std::vector<Example>& examples,
                                   const std::function<bool()>& stop) {
  constexpr size_t kExamplesAtOnce = 256;
  const double start = Now();
  Evaluation evaluation;
  double loss_sum = 0;
  for (size_t begin = 0; begin < examples.size(); begin += kExamplesAtOnce) {
    if (stop && stop()) return std::nullopt;
    std::vector<const Example*> piece;
    for (size_t i = begin; i < std::min(begin + kExamplesAtOnce, examples.size()); ++i) {
      piece.push_back(&examples[i]);
    }
    const ForwardBackwardOutput output = run.Forward(piece);
    loss_sum += output.loss_sum;
    evaluation.weight_sum += output.weight_sum;
    evaluation.tokens += output.tokens;
    evaluation.trained_tokens += output.trained_tokens;
  }
  evaluation.nll = evaluation.weight_sum > 0 ? loss_sum / evaluation.weight_sum : 0;
  evaluation.seconds = Now() - start;
  return evaluation;
}

}  // namespace lorikeet
