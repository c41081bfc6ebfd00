// libFuzzer target: any bytes as a configuration file give options or an Error.
#include <cstdint>
#include <string>

#include "core/error.h"
#include "options/args.h"

namespace {

struct FuzzOptions {
  std::string model;
  std::vector<std::string> data;
  std::optional<double> learning_rate;
  int lora_r;
  int64_t seed;
  bool packing;

  template <class V>
  void ForEach(V& v) {
    v(model, "model", "", "A text.");
    v(data, "data", {}, "A list.");
    v(learning_rate, "learning_rate", std::nullopt, "A number.", {.above = 0});
    v(lora_r, "lora_r", 32, "An integer.", {.aliases = {"r"}, .min = 1});
    v(seed, "seed", 0, "A long integer.");
    v(packing, "packing", true, "A truth value.");
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FuzzOptions options;
  lorikeet::SetDefaults(options);
  const lorikeet::OptionTable table(options);
  try {
    lorikeet::ApplyYaml(table, std::string(reinterpret_cast<const char*>(data), size), "fuzz.yaml");
  } catch (const lorikeet::Error&) {
    return 0;
  }
  // Accepted values must survive writing and reading.
  const std::string yaml = lorikeet::ToYaml(table);
  lorikeet::ApplyYaml(table, yaml, "config.yaml");
  if (lorikeet::ToYaml(table) != yaml) __builtin_trap();
  return 0;
}
