// Writer of GGUF version 3, as far as adapters need it.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "checkpoint/safetensors.h"

namespace lorikeet {

using GgufMetadata =
    std::vector<std::pair<std::string, std::variant<std::string, uint32_t, float>>>;

// Writes the file atomically. Tensors: f32, f16 or bf16, shapes in row-major order.
void WriteGguf(const std::string& path, const GgufMetadata& metadata,
               const std::vector<TensorToWrite>& tensors);

}  // namespace lorikeet
