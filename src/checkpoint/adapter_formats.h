// LoRA adapters in the three formats in use: peft's, mlx-lm's and llama.cpp's. All are read into
// peft's terms.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "checkpoint/gguf_adapter.h"
#include "checkpoint/peft.h"

namespace lorikeet {

enum class AdapterFormat : uint8_t { kPeft, kMlx, kGguf };
const char* AdapterFormatName(AdapterFormat format);  // "peft", "mlx", "gguf"

// Detected by content: a folder with adapter_model.safetensors, one with adapters.safetensors, or a
// GGUF file of an adapter; empty for everything else. Throws Error for a damaged GGUF file.
std::optional<AdapterFormat> AdapterFormatOf(const std::string& path);

// Throws Error as the format's own reader does (peft.h, mlx_adapter.h, gguf_adapter.h).
AdapterFile ReadAnyAdapter(const std::string& path, const AttentionHeads& heads = {});

// The base model that the adapter names, without reading its factors; "" if there is none.
std::string BaseNamedByAdapter(const std::string& path);

}  // namespace lorikeet
