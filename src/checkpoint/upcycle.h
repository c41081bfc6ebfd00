// A mixture of experts out of a dense model (sparse upcycling, Komatsuzaki et al., 2022): every
// expert begins as the dense MLP, and the router at random. The weights of a token's experts sum to
// 1, so the mixture computes what the dense model does until training tells its experts apart.
#pragma once
#include <cstdint>
#include <string>

#include "checkpoint/model_source.h"

namespace lorikeet {

struct Upcycling {
  int64_t experts = 0;  // at least 2, at most 1024
  int64_t active = 0;   // per token, from 1 to experts
  uint64_t seed = 0;    // of the routers
};

// "8:2", experts and how many of them are active. Throws Error naming the option.
Upcycling ParseUpcycling(const std::string& text, uint64_t seed);

// The mixture as a source that can be written: its experts are views of the dense model's MLP.
// Llama and Mistral become Mixtral, which has their attention; Qwen3 becomes Qwen3-MoE. Throws
// Error for a model that neither of them can hold: other families, biases, sliding windows.
ModelSource Upcycle(const ModelSource& dense, const Upcycling& options);

}  // namespace lorikeet
