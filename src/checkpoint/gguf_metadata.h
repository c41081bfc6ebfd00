// `Hyperparameters` are the metadata of a GGUF file's architecture.
#pragma once
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "checkpoint/gguf.h"
#include "core/error.h"
#include "core/text.h"

namespace lorikeet {

// The shortest decimal number that is this f32: 1e-05, as in the model's own config.json, for the
// 9.999999747e-06 of a file.
inline double ShortestDouble(float value) { return std::stod(fmt::format("{}", value)); }

// Metadata of one architecture: keys without their prefix, sizes positive and bounded.
class Hyperparameters {
 public:
  Hyperparameters(const GgufFile& gguf, std::string prefix)
      : gguf_(gguf), prefix_(std::move(prefix)) {}

  std::string Key(const char* name) const { return prefix_ + "." + name; }
  bool Has(const char* name) const { return gguf_.Has(Key(name)); }
  int64_t Size(const char* name) const { return Checked(name, ValueOf(name)); }
  int64_t SizeOr(const char* name, int64_t fallback) const {
    return Has(name) ? Size(name) : fallback;
  }
  double Positive(const char* name) const {
    const auto value = static_cast<float>(gguf_.Float(Key(name)));
    if (!(value > 0) || !std::isfinite(value)) {
      Fail(ErrorCode::kCorruptFile, "{}: metadata {} is {}, not a positive number", gguf_.path(),
           QuotedName(Key(name)), value);
    }
    return ShortestDouble(value);
  }

 private:
  // Some converters write one value per layer; all layers must agree.
  int64_t ValueOf(const char* name) const {
    if (!gguf_.IsArray(Key(name))) return gguf_.Int(Key(name));
    const std::vector<int64_t> values = gguf_.Ints(Key(name));
    if (values.empty() || std::ranges::count(values, values[0]) != std::ssize(values)) {
      Fail(ErrorCode::kUnsupported, "{}: metadata {} differs from layer to layer; not supported",
           gguf_.path(), QuotedName(Key(name)));
    }
    return values[0];
  }
  int64_t Checked(const char* name, int64_t value) const {
    if (value < 1 || value > INT32_MAX) {
      Fail(ErrorCode::kCorruptFile, "{}: metadata {} is {}, not a positive 32-bit number",
           gguf_.path(), QuotedName(Key(name)), value);
    }
    return value;
  }

  const GgufFile& gguf_;
  std::string prefix_;
};

}  // namespace lorikeet
