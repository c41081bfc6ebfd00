// A `GgufConfig` is what a GGUF file says in place of config.json: the metadata of its
// architecture, and tensors of rotary factors where there are any.
#pragma once
#include <string>
#include <vector>

#include "checkpoint/gguf_architecture.h"
#include "checkpoint/gguf_writer.h"
#include "model/config.h"

namespace lorikeet {

// A tensor of divisors of the rotary frequencies.
struct GgufRopeFactors {
  const char* name;
  std::vector<float> values;
};

struct GgufConfig {
  GgufMetadata metadata;
  std::vector<GgufRopeFactors> rope_factors;
  std::vector<std::string> notes;  // for the user: what llama.cpp computes otherwise
};

// Metadata with the keys that llama.cpp's code for the architecture reads. CheckGgufConfig finds
// values that it fixes without a key. Throws Error(kUnsupported) naming `where`.
GgufConfig MakeGgufConfig(const ModelConfig& config, const GgufArchitecture& architecture,
                          const std::string& where);

// Compares a model's config with the one read again from the metadata, whatever its model_type:
// sizes, rotary tables and the specs of all layers. Throws Error(kUnsupported) naming the first key
// that the metadata cannot say.
void CheckGgufConfig(const ModelConfig& config, const ModelConfig& read,
                     const GgufArchitecture& architecture, const std::string& where);

}  // namespace lorikeet
