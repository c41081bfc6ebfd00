// libFuzzer target: any bytes as a GGUF file give an Error, or a model all of whose metadata and
// tensors can be read. Bytes "SPLIT", a 16-bit length and two files of which the first has this
// length are read as the parts of a split model.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/dequantise.h"
#include "checkpoint/gguf.h"
#include "checkpoint/gguf_model.h"
#include "checkpoint/memory_file_for_test.h"
#include "core/error.h"

namespace {

using namespace lorikeet;

template <class Fn>
void Attempt(const Fn& fn) {
  try {
    fn();
  } catch (const Error&) {
  }
}

void ReadValue(const GgufFile& gguf, const std::string& key) {
  Attempt([&] { gguf.String(key); });
  Attempt([&] { gguf.Int(key); });
  Attempt([&] { gguf.Float(key); });
  Attempt([&] { gguf.Bool(key); });
  Attempt([&] { gguf.Strings(key); });
  Attempt([&] { gguf.Ints(key); });
  Attempt([&] { gguf.Floats(key); });
}

void ReadTensor(const Tensor& tensor) {
  if (!IsFloat(tensor.dtype) && !IsQuantised(tensor.dtype)) return;
  std::vector<float> values(static_cast<size_t>(tensor.size()));
  DequantiseRow(tensor.dtype, static_cast<const std::byte*>(tensor.data), tensor.size(),
                values.data());
}

void Read(const std::string& path) {
  Attempt([&] {
    const GgufFile gguf(path);
    for (const std::string& key : gguf.keys()) ReadValue(gguf, key);
    for (const auto& [name, tensor] : gguf.tensors()) ReadTensor(tensor);
    WeightsFromGguf(gguf, ConfigFromGguf(gguf));
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view content(reinterpret_cast<const char*>(data), size);
  const std::string_view split = "SPLIT";
  if (content.starts_with(split) && size >= split.size() + 2) {
    const size_t length = data[split.size()] + 256U * data[split.size() + 1];
    const std::string_view parts = content.substr(split.size() + 2);
    const size_t first = std::min(length, parts.size());
    const char* const names[] = {"m-00001-of-00002.gguf", "m-00002-of-00002.gguf"};
    const MemoryFolder folder(names[0], parts.substr(0, first), names[1], parts.substr(first));
    Read(folder.path() + "/" + names[1]);
    return 0;
  }
  const MemoryFile bytes(content);
  Read(bytes.path());
  return 0;
}
