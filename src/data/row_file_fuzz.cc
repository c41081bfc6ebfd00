// libFuzzer target: any bytes as a packed, comma- or tab-separated data file give rows or an Error.
// The first byte chooses the reader. Seeds: tests/fuzz/row_file/.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/check.h"
#include "core/error.h"
#include "core/json.h"
#include "data/container.h"
#include "data/csv.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lorikeet;
  if (size == 0) return 0;
  const std::string_view content(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    switch (data[0] % 4) {
      case 0:
        (void)Unpack(Container::kGzip, content, "fuzz");
        break;
      case 1:
        (void)Unpack(Container::kZstd, content, "fuzz");
        break;
      default: {
        const JsonLines rows = CsvToJson(content, data[0] % 4 == 2 ? ',' : '\t', "fuzz");
        size_t lines = 0;
        for (const char c : rows.text) lines += c == '\n' ? 1 : 0;
        CHECK(lines == rows.source.size());
      }
    }
  } catch (const Error& e) {
    CHECK(std::string_view(e.what()).find('\n') == std::string_view::npos);
  }
  return 0;
}
