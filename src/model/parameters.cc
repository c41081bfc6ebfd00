#include "model/parameters.h"

#include "model/weights.h"

namespace lorikeet {

int64_t CountParameters(const ModelConfig& config) {
  int64_t count = config.vocab_size * config.hidden_size;  // the embedding
  Weights weights;
  DeclareWeights(
      config,
      {.linear = [&](const LinearDeclaration& d) { count += d.out * d.in + (d.bias ? d.out : 0); },
       .norm = [&](Norm*, int64_t size) { count += size; }},
      &weights);
  return count;
}

}  // namespace lorikeet
