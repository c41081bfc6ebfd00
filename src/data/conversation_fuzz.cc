// libFuzzer target: any bytes as a data file give rows or an Error. Seeds:
// tests/fuzz/conversation/.
#include <cstddef>
#include <cstdint>
#include <set>
#include <string_view>

#include "core/check.h"
#include "core/error.h"
#include "data/conversation.h"
#include "data/row_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lorikeet;
  const std::string_view content(reinterpret_cast<const char*>(data), size);
  std::vector<Row> rows;
  try {
    rows = CutRows(content, "fuzz");
  } catch (const Error&) {
    return 0;
  }
  static const ColumnMap kColumns({"prompt=question", "completion=answer", "role=who"});
  std::set<std::string> ignored;
  for (const Row& row : rows) {
    CHECK(row.text.data() >= content.data() &&
          row.text.data() + row.text.size() <= content.data() + size);
    try {
      ParseRecord(row, &ignored, kColumns);
    } catch (const Error&) {  // checked below
    }
    try {
      const Record record = ParseRecord(row, &ignored);
      CHECK(record.weights.empty() || record.weights.size() == record.tokens.size());
      CHECK(record.first_trainable <= static_cast<int64_t>(record.messages.size()));
    } catch (const Error& e) {
      CHECK(std::string_view(e.what()).find('\n') == std::string_view::npos);
    }
  }
  return 0;
}
