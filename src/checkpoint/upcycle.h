// Sparse upcycling (Komatsuzaki et al., 2022): a mixture of experts made from a dense model. Every
// expert starts as the dense MLP, and the router is random. The weights of a token's experts sum to
// 1, so the mixture computes the function of the dense model until training changes its experts.
#pragma once
#include <cstdint>
#include <string>

#include "checkpoint/model_source.h"

namespace lorikeet {

struct Upcycling {
  int64_t experts = 0;  // at least 2, at most 1024
  int64_t active = 0;   // per token, from 1 to experts
  uint64_t seed = 0;    // seed of the routers
};

// Parses "8:2", the numbers of experts and of active ones. Throws Error naming the option.
Upcycling ParseUpcycling(const std::string& text, uint64_t seed);

// The mixture as a source that can be written: its experts are views of the dense model's MLP.
// Llama and Mistral become Mixtral, which has their attention; Qwen3 becomes Qwen3-MoE. Throws
// Error for a model that fits neither: other families, biases, use_sliding_window. dense: from
// WithExplicitConfig (model/source_config.h), since the defaults of the two families differ.
ModelSource Upcycle(const ModelSource& dense, const Upcycling& options);

}  // namespace lorikeet
