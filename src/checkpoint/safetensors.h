// The safetensors format: an 8-byte little-endian header length, a JSON header
// {"name": {"dtype", "shape", "data_offsets": [begin, end]}, "__metadata__": {...}}, then the data.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/tensor.h"

namespace lorikeet {

struct NamedTensor {
  std::string name;
  Tensor tensor;
};

// Named tensors in one or more mapped files. They are read-only and live as long as this object.
class TensorFile {
 public:
  virtual ~TensorFile() = default;
  virtual Tensor Find(std::string_view name) const = 0;  // empty if absent
  virtual const std::vector<NamedTensor>& tensors() const = 0;
  // Drops the pages of a tensor that was copied and will not be read soon.
  virtual void Forget(const Tensor& tensor) const = 0;
};

// `path`: a .safetensors file, a *.safetensors.index.json with its shards beside it, or a folder
// with model.safetensors or model.safetensors.index.json. Only tensors that are unaligned in their
// file are copied. Scalars get shape {1}. Throws Error naming the file, and the tensor if there is
// one, for damage, dtypes outside core/tensor.h and more than 8 dimensions.
std::unique_ptr<TensorFile> OpenSafetensors(const std::string& path);

struct TensorToWrite {
  std::string name;
  DType dtype;  // any but quantised ones
  std::vector<int64_t> shape;
  const void* data;
};

// Writes the file atomically. The data is streamed, without a second copy in memory. `metadata`
// becomes
// "__metadata__"; transformers and peft expect {"format": "pt"}.
void WriteSafetensors(const std::string& path, const std::vector<TensorToWrite>& tensors,
                      const std::map<std::string, std::string>& metadata);

// The same for tensors that are made while writing, whose `data` is null: `make` passes the bytes
// of tensors[index] to `sink`, in order and in pieces.
using ByteSink = std::function<void(const void* data, size_t bytes)>;
using MakeTensor = std::function<void(size_t index, const ByteSink& sink)>;
void WriteSafetensors(const std::string& path, const std::vector<TensorToWrite>& tensors,
                      const std::map<std::string, std::string>& metadata, const MakeTensor& make);

}  // namespace lorikeet
