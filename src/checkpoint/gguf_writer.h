// Writer of GGUF version 3: adapters and whole models.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "checkpoint/safetensors.h"

namespace lorikeet {

using GgufValue =
    std::variant<std::string, uint32_t, int32_t, float, bool, std::vector<std::string>,
                 std::vector<int32_t>, std::vector<float>, std::vector<bool>>;
using GgufMetadata = std::vector<std::pair<std::string, GgufValue>>;

// Writes the file atomically. Tensors: f32, f16, bf16 or blocks, shapes in row-major order.
void WriteGguf(const std::string& path, const GgufMetadata& metadata,
               const std::vector<TensorToWrite>& tensors);

// The same for tensors that are made while writing, whose `data` is null: `make` passes the bytes
// of tensors[index] to `sink`, in order and in pieces. check: gets the path of the complete file
// before it gets its name; if it or `make` throws, no file is left.
using CheckFile = std::function<void(const std::string& path)>;
void WriteGguf(const std::string& path, const GgufMetadata& metadata,
               const std::vector<TensorToWrite>& tensors, const MakeTensor& make,
               const CheckFile& check);

// Size of the file in bytes.
int64_t GgufBytes(const GgufMetadata& metadata, const std::vector<TensorToWrite>& tensors);

// A `GgufOutline` is a file in memory as GgufFile reads it before any tensor is made: metadata,
// names and shapes. Tensors without `data` are zeros that take no memory.
class GgufOutline {
 public:
  // Throws Error(kIo).
  GgufOutline(const GgufMetadata& metadata, const std::vector<TensorToWrite>& tensors);
  ~GgufOutline();
  GgufOutline(const GgufOutline&) = delete;
  GgufOutline& operator=(const GgufOutline&) = delete;
  const std::string& path() const { return path_; }  // valid while the object lives

 private:
  int fd_ = -1;
  std::string path_;
};

}  // namespace lorikeet
