// A GGUF file in Hugging Face terms: its metadata as config.json, its tensors under HF names.
// Architectures: llama, qwen2, qwen3.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/gguf.h"
#include "core/json.h"

namespace lorikeet {

// config.json's keys, from the metadata and from which tensors are there. Throws Error for other
// architectures and for what they could contain that this program does not compute (experts,
// partial rotary embeddings, layers of different shapes, ...).
Json ConfigFromGguf(const GgufFile& gguf);

struct GgufWeight {
  std::string hf_name;
  Tensor tensor;
  // > 0: rows of so many heads, in each of which llama.cpp's converter interleaved the two halves
  // (its rope turns neighbours, Hugging Face's turns halves): row 2j + i here is row i Dh/2 + j
  // there.
  int64_t interleaved_heads = 0;
};

// Every tensor of the file but those that the config already tells of. Throws Error naming the
// tensor that has no place in the architecture.
std::vector<GgufWeight> WeightsFromGguf(const GgufFile& gguf, const Json& config);

// "blk.3.attn_q.weight" <-> "model.layers.3.self_attn.q_proj.weight". Empty for a name that has no
// place in a model.
std::string HfNameOfGguf(std::string_view gguf_name);
std::string GgufNameOfHf(std::string_view hf_name);

// How llama.cpp names the architecture of a config.json's model_type, and whether it permutes the
// rows of q and k there. Throws Error(kUnsupported) naming `where`.
std::string GgufArchitecture(const std::string& model_type, const std::string& where);
bool GgufInterleaves(const std::string& architecture, const std::string& where);

}  // namespace lorikeet
