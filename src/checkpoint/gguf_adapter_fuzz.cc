// libFuzzer target: any bytes as a GGUF adapter, with and without the heads of a model.
#include <cstdint>
#include <string_view>

#include "checkpoint/gguf_adapter.h"
#include "checkpoint/memory_file_for_test.h"
#include "core/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lorikeet;
  const MemoryFile file({reinterpret_cast<const char*>(data), size});
  for (const AttentionHeads heads :
       {AttentionHeads{}, AttentionHeads{.query = 4, .key_value = 2}}) {
    try {
      for (const auto& pair : ReadGgufAdapter(file.path(), heads).pairs) {
        CHECK(pair.a.rows() == pair.r && pair.b.cols() == pair.r);
      }
    } catch (const Error&) {
    }
  }
  return 0;
}
