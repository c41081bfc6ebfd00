#include "checkpoint/gguf_writer.h"

#include <string_view>
#include <type_traits>

#include "core/check.h"
#include "core/file.h"
#include "core/round_up.h"

namespace lorikeet {
namespace {

constexpr size_t kAlignment = 32;  // the default of readers without general.alignment

size_t Aligned(size_t bytes) { return RoundUp(bytes, kAlignment); }

class Header {
 public:
  template <class T>
  void Put(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void Text(std::string_view text) {
    Put<uint64_t>(text.size());
    bytes_.append(text);
  }
  void Value(const std::variant<std::string, uint32_t, float>& value) {
    enum : uint32_t { kU32 = 4, kF32 = 6, kString = 8 };
    if (const auto* text = std::get_if<std::string>(&value)) {
      Put<uint32_t>(kString);
      Text(*text);
    } else if (const auto* integer = std::get_if<uint32_t>(&value)) {
      Put<uint32_t>(kU32);
      Put(*integer);
    } else {
      Put<uint32_t>(kF32);
      Put(std::get<float>(value));
    }
  }
  void Pad() { bytes_.resize(Aligned(bytes_.size()), '\0'); }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_ = "GGUF";
};

uint32_t GgmlType(DType dtype) {
  CHECK(dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16);
  return dtype == DType::kF32 ? 0 : dtype == DType::kF16 ? 1 : 30;
}

size_t BytesOf(const TensorToWrite& tensor) {
  int64_t size = 1;
  for (const int64_t dim : tensor.shape) size *= dim;
  return static_cast<size_t>(DTypeBytes(tensor.dtype, size));
}

}  // namespace

void WriteGguf(const std::string& path, const GgufMetadata& metadata,
               const std::vector<TensorToWrite>& tensors) {
  constexpr uint32_t kVersion = 3;
  Header header;
  header.Put(kVersion);
  header.Put<uint64_t>(tensors.size());
  header.Put<uint64_t>(metadata.size());
  for (const auto& [key, value] : metadata) {
    header.Text(key);
    header.Value(value);
  }
  uint64_t offset = 0;
  for (const TensorToWrite& tensor : tensors) {
    header.Text(tensor.name);
    header.Put(static_cast<uint32_t>(tensor.shape.size()));
    // The file has the fastest dimension first.
    for (auto dim = tensor.shape.rbegin(); dim != tensor.shape.rend(); ++dim) header.Put(*dim);
    header.Put(GgmlType(tensor.dtype));
    header.Put(offset);
    offset += Aligned(BytesOf(tensor));
  }
  header.Pad();
  WriteFileAtomically(path, [&](int fd) {
    WriteAll(fd, header.bytes().data(), header.bytes().size(), path);
    constexpr char kZeros[kAlignment] = {};
    for (const TensorToWrite& tensor : tensors) {
      const size_t bytes = BytesOf(tensor);
      WriteAll(fd, tensor.data, bytes, path);
      WriteAll(fd, kZeros, Aligned(bytes) - bytes, path);
    }
  });
}

}  // namespace lorikeet
