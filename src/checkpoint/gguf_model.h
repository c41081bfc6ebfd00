// A GGUF file in Hugging Face terms: its metadata as config.json, its tensors under HF names.
// Architectures are the rows of kArchitectures in gguf_model.cc.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
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

// "blk.3.attn_q.weight" <-> "model.layers.3.self_attn.q_proj.weight". Empty for a name that does
// not occur in a model. The first throws Error(kUnsupported) for an unknown architecture.
std::string HfNameOfGguf(std::string_view gguf_name, const std::string& architecture,
                         const std::string& where);
std::string GgufNameOfHf(std::string_view hf_name);

// llama.cpp's name of the architecture of a config.json's model_type. Throws Error(kUnsupported)
// naming `where`.
std::string GgufArchitecture(const std::string& model_type, const std::string& where);
// Whether llama.cpp permutes the rows of q and k of an architecture. Throws Error(kUnsupported).
bool GgufInterleaves(const std::string& architecture, const std::string& where);

}  // namespace lorikeet
