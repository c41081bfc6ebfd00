#include "model/parameters.h"

#include "model/weights.h"

namespace lorikeet {
namespace {

struct Counts {
  int64_t norms = 0, biases = 0, matrices = 0;
};

Counts Count(const ModelConfig& config) {
  Counts counts;
  counts.matrices = config.vocab_size * config.hidden_size;  // the embedding
  Weights weights;
  DeclareWeights(config,
                 {.linear =
                      [&](const LinearDeclaration& d) {
                        counts.matrices += d.out * d.in;
                        if (d.bias) counts.biases += d.out;
                      },
                  .norm = [&](Norm*, int64_t size) { counts.norms += size; }},
                 &weights);
  return counts;
}

}  // namespace

int64_t CountParameters(const ModelConfig& config) {
  const Counts counts = Count(config);
  return counts.norms + counts.biases + counts.matrices;
}

int64_t NormParameters(const ModelConfig& config) { return Count(config).norms; }
int64_t BiasParameters(const ModelConfig& config) { return Count(config).biases; }
int64_t MatrixParameters(const ModelConfig& config) { return Count(config).matrices; }

}  // namespace lorikeet
