// Initial weights of a model that is trained from scratch.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/json.h"
#include "model/config.h"

namespace lorikeet {

struct InitialTensor {
  std::string name;  // as in the file, "model.layers.0.self_attn.q_proj.weight"
  std::vector<int64_t> shape;
  double mean = 0, std = 0;  // normal; std 0: every element is `mean`
};

// Every tensor of a model except a tied head. Matrices are normal with standard deviation `std`;
// those that write into the residual stream (o_proj, down_proj, experts' too) have std / sqrt(2L),
// so that L layers do not increase its variance (Radford et al., 2019, "Language Models are
// Unsupervised Multitask Learners", 2.3); norms are 1, biases 0.
std::vector<InitialTensor> InitialTensors(const ModelConfig& config, double std);

// Writes config.json and model.safetensors (f32) into an existing folder. `config` is a config.json
// whose weights do not exist yet; its initializer_range, 0.02 if absent, is the standard deviation.
// The same config and seed give the same bytes. Throws Error as ReadModelConfig does, `where`
// naming the source.
void WriteInitialModel(const Json& config, const std::string& where, uint64_t seed,
                       const std::string& dir);

}  // namespace lorikeet
