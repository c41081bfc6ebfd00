// libFuzzer target: any bytes as an adapter folder, the config up to the first NUL, then the
// weights.
#include <algorithm>
#include <cstdint>
#include <string_view>

#include "checkpoint/memory_file_for_test.h"
#include "checkpoint/peft.h"
#include "core/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lorikeet;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(input.find('\0'), size);
  const MemoryFolder folder("adapter_config.json", input.substr(0, end),
                            "adapter_model.safetensors", input.substr(std::min(end + 1, size)));
  try {
    for (const auto& pair : ReadAdapter(folder.path()).pairs) CHECK(pair.a.rows() == pair.r);
  } catch (const Error&) {
  }
  return 0;
}
