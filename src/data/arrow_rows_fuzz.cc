// libFuzzer target: any bytes as a Parquet or Arrow file, or as the state.json of a saved data set,
// give rows or an Error. The first byte chooses the reader. Builds without Arrow refuse all of
// them, so it finds something in builds with it (docs/building.md). Seeds: tests/fuzz/arrow_rows/.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/check.h"
#include "core/error.h"
#include "core/file.h"
#include "core/memory_file.h"
#include "core/temporary_folder_for_test.h"
#include "data/arrow_rows.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lorikeet;
  if (size == 0) return 0;
  const std::string_view content(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    JsonLines rows;
    if (data[0] % 3 == 2) {
      static const TemporaryFolder folder("arrow_rows_fuzz");
      WriteFileAtomically(folder / "state.json", content);
      rows = DatasetFolderToJson(folder.path());
    } else {
      const MemoryFile file(content);
      rows = data[0] % 3 == 0 ? ParquetToJson(file.path()) : ArrowToJson(file.path());
    }
    CHECK(std::count(rows.text.begin(), rows.text.end(), '\n') == std::ssize(rows.source));
  } catch (const Error& e) {
    CHECK(std::string_view(e.what()).find('\n') == std::string_view::npos);
  }
  return 0;
}
