#include "checkpoint/gguf_writer.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include "checkpoint/gguf.h"
#include "core/check.h"
#include "core/error.h"
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
  void Value(const GgufValue& value) {
    std::visit([this](const auto& v) { Typed(v); }, value);
  }
  void Pad() { bytes_.resize(Aligned(bytes_.size()), '\0'); }
  const std::string& bytes() const { return bytes_; }

 private:
  enum Type : uint32_t { kU32 = 4, kI32 = 5, kF32 = 6, kBool = 7, kString = 8, kArray = 9 };
  static Type TypeOf(uint32_t /*value*/) { return kU32; }
  static Type TypeOf(int32_t /*value*/) { return kI32; }
  static Type TypeOf(float /*value*/) { return kF32; }
  static Type TypeOf(bool /*value*/) { return kBool; }
  static Type TypeOf(const std::string& /*value*/) { return kString; }

  template <class T>
  void Bare(const T& value) {
    Put(value);
  }
  void Bare(const std::string& value) { Text(value); }
  template <class T>
  void Typed(const T& value) {
    Put<uint32_t>(TypeOf(value));
    Bare(value);
  }
  template <class T>
  void Typed(const std::vector<T>& values) {
    Put<uint32_t>(kArray);
    Put<uint32_t>(TypeOf(T()));
    Put<uint64_t>(values.size());
    for (const T& value : values) Bare(value);
  }

  std::string bytes_ = "GGUF";
};

size_t BytesOf(const TensorToWrite& tensor) {
  int64_t size = 1;
  for (const int64_t dim : tensor.shape) size *= dim;
  CHECK(tensor.shape.back() % DTypeBlock(tensor.dtype) == 0);
  return static_cast<size_t>(DTypeBytes(tensor.dtype, size));
}

std::string HeaderOf(const GgufMetadata& metadata, const std::vector<TensorToWrite>& tensors) {
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
    for (size_t i = tensor.shape.size(); i-- > 0;) header.Put(tensor.shape[i]);
    header.Put(GgmlTypeOf(tensor.dtype));
    header.Put(offset);
    offset += Aligned(BytesOf(tensor));
  }
  header.Pad();
  return header.bytes();
}

size_t DataBytes(const std::vector<TensorToWrite>& tensors) {
  size_t bytes = 0;
  for (const TensorToWrite& tensor : tensors) bytes += Aligned(BytesOf(tensor));
  return bytes;
}

}  // namespace

void WriteGguf(const std::string& path, const GgufMetadata& metadata,
               const std::vector<TensorToWrite>& tensors) {
  WriteGguf(
      path, metadata, tensors,
      [&](size_t index, const ByteSink& sink) {
        sink(tensors[index].data, BytesOf(tensors[index]));
      },
      [](const std::string& /*path*/) {});
}

void WriteGguf(const std::string& path, const GgufMetadata& metadata,
               const std::vector<TensorToWrite>& tensors, const MakeTensor& make,
               const CheckFile& check) {
  const std::string header = HeaderOf(metadata, tensors);
  const auto write = [&](int fd) {
    WriteAll(fd, header.data(), header.size(), path);
    constexpr char kZeros[kAlignment] = {};
    for (size_t i = 0; i < tensors.size(); ++i) {
      size_t written = 0;
      make(i, [&](const void* data, size_t bytes) {
        WriteAll(fd, data, bytes, path);
        written += bytes;
      });
      CHECK(written == BytesOf(tensors[i]));
      WriteAll(fd, kZeros, Aligned(written) - written, path);
    }
  };
  WriteFileAtomically(path, write, check);
}

int64_t GgufBytes(const GgufMetadata& metadata, const std::vector<TensorToWrite>& tensors) {
  return static_cast<int64_t>(HeaderOf(metadata, tensors).size() + DataBytes(tensors));
}

GgufOutline::GgufOutline(const GgufMetadata& metadata, const std::vector<TensorToWrite>& tensors)
    : fd_(memfd_create("gguf", MFD_CLOEXEC)), path_("/proc/self/fd/" + std::to_string(fd_)) {
  const std::string header = HeaderOf(metadata, tensors);
  const size_t bytes = header.size() + DataBytes(tensors);
  if (fd_ < 0 || ftruncate(fd_, static_cast<off_t>(bytes)) != 0) {
    const int error = errno;
    if (fd_ >= 0) close(fd_);
    Fail(ErrorCode::kIo, "cannot make a file in memory: {}", std::strerror(error));
  }
  WriteAll(fd_, header.data(), header.size(), path_);
  size_t at = header.size();
  for (const TensorToWrite& tensor : tensors) {
    const size_t size = BytesOf(tensor);
    if (tensor.data != nullptr) {
      lseek(fd_, static_cast<off_t>(at), SEEK_SET);
      WriteAll(fd_, tensor.data, size, path_);
    }
    at += Aligned(size);
  }
}

GgufOutline::~GgufOutline() { close(fd_); }

}  // namespace lorikeet
