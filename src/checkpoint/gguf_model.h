// A GGUF file in Hugging Face terms: its metadata as config.json, its tensors under HF names, by
// its architecture (gguf_architecture.h).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "checkpoint/gguf.h"
#include "core/json.h"

namespace lorikeet {

// The keys of config.json from the metadata and the existing tensors. Throws Error for other
// architectures and for variants that this program does not compute (partial rotary embeddings,
// layers of different shapes, ...).
Json ConfigFromGguf(const GgufFile& gguf);

struct GgufWeight {
  std::string hf_name;
  Tensor tensor;
  // > 0: number of heads in whose rows llama.cpp's converter interleaved the two halves (its rope
  // rotates neighbours, Hugging Face's rotates halves): row 2j + i here is row i Dh/2 + j in
  // Hugging Face's order.
  int64_t interleaved_heads = 0;
  // Subtracted from every value: 1 where the file holds 1 + w.
  float subtract = 0;
};

// Every tensor of the file except those that the config includes. Throws Error naming a tensor that
// does not belong to the architecture.
std::vector<GgufWeight> WeightsFromGguf(const GgufFile& gguf, const Json& config);

}  // namespace lorikeet
