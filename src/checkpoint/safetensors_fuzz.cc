// libFuzzer target: any bytes as a .safetensors file give an Error, or tensors all of whose bytes
// can be read.
#include <cstdint>
#include <string_view>

#include "checkpoint/memory_file_for_test.h"
#include "checkpoint/safetensors.h"
#include "core/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lorikeet;
  const MemoryFile bytes({reinterpret_cast<const char*>(data), size});
  try {
    const auto file = OpenSafetensors(bytes.path());
    volatile uint8_t sink = 0;
    for (const auto& [name, tensor] : file->tensors()) {
      CHECK(file->Find(name).data == tensor.data);
      const auto* p = static_cast<const uint8_t*>(tensor.data);
      for (int64_t i = 0; i < tensor.bytes(); ++i) sink = sink ^ p[i];
    }
  } catch (const Error&) {
  }
  return 0;
}
