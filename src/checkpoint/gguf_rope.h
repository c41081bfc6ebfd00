// The rotary embedding of a GGUF file in the terms of config.json.
#pragma once
#include <string_view>

#include "checkpoint/gguf.h"
#include "checkpoint/gguf_metadata.h"
#include "core/json.h"

namespace lorikeet {

// Whether a tensor is a list of rope factors, which AddRope turns into config keys.
bool IsGgufRopeTensor(std::string_view name);

// Adds rope_scaling, partial_rotary_factor and original_max_position_embeddings to a config that
// has head_dim and rope_theta. Throws Error for scalings that are not supported.
// partial: heads may be rotated in part, and the config says how far.
void AddRope(const GgufFile& gguf, const Hyperparameters& hyper, bool partial, Json* config);

}  // namespace lorikeet
