// libFuzzer target: any bytes as a task file, with and without names of columns, give problems or
// an Error of one line. Seeds: tests/fuzz/problem_file/.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/check.h"
#include "core/error.h"
#include "core/memory_file.h"
#include "verify/problem_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lorikeet;
  const MemoryFile file(std::string_view(reinterpret_cast<const char*>(data), size));
  static const ColumnMap kColumns({"prompt=task", "answer=solution", "tools=functions"},
                                  RowKind::kProblems);
  for (const ColumnMap& columns : {ColumnMap(), kColumns}) {
    try {
      for (const Problem& problem : LoadTaskFile(file.path(), "exact", columns)) {
        CHECK(!problem.messages.empty() && problem.messages.back().role != "assistant");
        CHECK(problem.grader == "none" || !problem.answer.empty());
        CHECK(!problem.id.empty() && problem.data.is_object());
      }
    } catch (const Error& e) {
      CHECK(std::string_view(e.what()).find('\n') == std::string_view::npos);
    }
  }
  return 0;
}
