// Keys of config.json that single families of GGUF files have beside those of all.
#pragma once
#include "checkpoint/gguf.h"
#include "checkpoint/gguf_metadata.h"
#include "core/json.h"

namespace lorikeet {

// Mixtures of experts: olmoe, qwen2moe, qwen3moe. Throws Error for routers that are not computed.
void AddExperts(const GgufFile& gguf, const Hyperparameters& hyper, Json* config);

// The four factors of granite.
void AddMultipliers(const GgufFile& gguf, const Hyperparameters& hyper, Json* config);

// Windows of exaone4 and of Olmo 3, with layer_types where the file lists them.
void AddWindows(const GgufFile& gguf, const Hyperparameters& hyper, Json* config);

}  // namespace lorikeet
