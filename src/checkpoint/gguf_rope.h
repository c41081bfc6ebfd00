// The rotary embedding of a GGUF file in the terms of config.json.
#pragma once
#include <string_view>

#include "checkpoint/gguf.h"
#include "checkpoint/gguf_metadata.h"
#include "core/json.h"

namespace lorikeet {

// A tensor with a divisor for each rotary frequency ("llama3" rope scaling).
inline constexpr const char* kGgufRopeFactors = "rope_freqs.weight";
// The two lists of longrope.
inline constexpr const char *kGgufLongFactors = "rope_factors_long.weight",
                            *kGgufShortFactors = "rope_factors_short.weight";
// Keys of an architecture for which llama.cpp has no name, or no use outside of YaRN: the
// parameters of those divisors where they are not those of Llama 3.
inline constexpr const char* kGgufLowFreqFactor = "rope.scaling.low_freq_factor";
inline constexpr const char* kGgufHighFreqFactor = "rope.scaling.high_freq_factor";
inline constexpr const char* kGgufOriginalContext = "rope.scaling.original_context_length";

// Whether a tensor is a list of rope factors, which AddRope turns into config keys.
bool IsGgufRopeTensor(std::string_view name);

// Adds rope_scaling, partial_rotary_factor and original_max_position_embeddings to a config that
// has head_dim and rope_theta. Throws Error for scalings that are not supported.
// partial: heads may be rotated in part, and the config says how far.
void AddRope(const GgufFile& gguf, const Hyperparameters& hyper, bool partial, Json* config);

}  // namespace lorikeet
