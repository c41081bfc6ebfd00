// libFuzzer target: any bytes as a config.json.
#include <cstdint>
#include <string_view>

#include "core/error.h"
#include "model/config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lorikeet;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  try {
    const ModelConfig config = ReadModelConfig(ParseJson(std::string(input), "input"), "input");
    CHECK(std::ssize(config.layers) == config.num_hidden_layers);
    for (int64_t l = 0; l < config.num_hidden_layers; ++l) CHECK(config.window(l) >= 0);
  } catch (const Error&) {
  }
  return 0;
}
