// libFuzzer target: any bytes as a pattern and a module name (one line each) give a result or an
// Error of one line.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "checkpoint/module_regex.h"
#include "core/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lorikeet;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(input.find('\n'), size);
  try {
    ModuleRegex(input.substr(0, end), "fuzz").FullMatch(input.substr(std::min(end + 1, size)));
  } catch (const Error& e) {
    if (std::string_view(e.what()).find('\n') != std::string_view::npos) std::abort();
  }
  return 0;
}
