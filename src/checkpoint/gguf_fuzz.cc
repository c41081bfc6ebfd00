// libFuzzer target: any bytes as a GGUF file give an Error, or a model all of whose metadata and
// tensors can be read.
#include <cstdint>
#include <string>
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
  if (tensor.dtype == DType::kI32 || tensor.dtype == DType::kI64) return;
  std::vector<float> values(static_cast<size_t>(tensor.size()));
  DequantiseRow(tensor.dtype, static_cast<const std::byte*>(tensor.data), tensor.size(),
                values.data());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const MemoryFile bytes({reinterpret_cast<const char*>(data), size});
  Attempt([&] {
    const GgufFile gguf(bytes.path());
    for (const std::string& key : gguf.keys()) ReadValue(gguf, key);
    for (const auto& [name, tensor] : gguf.tensors()) ReadTensor(tensor);
    WeightsFromGguf(gguf, ConfigFromGguf(gguf));
  });
  return 0;
}
