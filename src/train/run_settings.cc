#include "train/run_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "core/error.h"

namespace lorikeet {
namespace {

// FNV-1a over 32-bit words: distinguishes files; not cryptographic.
class Fingerprint {
 public:
  void Add(uint32_t word) {
    constexpr uint64_t kPrime = 0x100000001B3;
    hash_ = (hash_ ^ word) * kPrime;
    hash_ ^= hash_ >> 32;
  }
  std::string Text() const { return fmt::format("{:016x}", hash_); }

 private:
  uint64_t hash_ = 0xCBF29CE484222325;
};

}  // namespace

std::string FingerprintOf(const std::vector<Example>& examples) {
  Fingerprint print;
  for (const Example& example : examples) {
    print.Add(static_cast<uint32_t>(example.tokens.size()));
    for (const int32_t id : example.tokens) print.Add(static_cast<uint32_t>(id));
    for (const int32_t id : example.target_tokens) print.Add(static_cast<uint32_t>(id));
    for (const float weight : example.weights) print.Add(std::bit_cast<uint32_t>(weight));
  }
  return print.Text();
}

// A sample of every matrix, so that no model is read as a whole.
std::string FingerprintOf(const Model& model) {
  constexpr int64_t kSamples = 256;
  Fingerprint print;
  const auto add = [&](const Tensor& t) {
    const auto* bytes = static_cast<const uint8_t*>(t.data);
    const int64_t size = t.bytes(), step = std::max<int64_t>(1, size / kSamples);
    print.Add(static_cast<uint32_t>(size));
    for (int64_t i = 0; i < size; i += step) print.Add(bytes[i]);
  };
  add(model.weights().embed_tokens);
  for (const LayerWeights& layer : model.weights().layers) {
    ForEachLinear(layer, [&](const Linear& linear) { add(linear.weight); });
  }
  add(model.weights().lm_head.weight);
  return print.Text();
}

std::string FingerprintOf(std::span<const std::string> texts) {
  Fingerprint print;
  for (const std::string& text : texts) {
    print.Add(static_cast<uint32_t>(text.size()));
    for (const char c : text) print.Add(static_cast<unsigned char>(c));
  }
  return print.Text();
}

void RequireSameSettings(const Json& saved, const Json& here, const std::string& checkpoint) {
  for (const auto& [key, value] : here.items()) {
    const auto found = saved.find(key);
    if (found != saved.end() && *found == value) continue;
    if (key == "data" || key == "model") {
      Fail(ErrorCode::kInvalidArgument,
           "cannot resume from {}: {} is not what it was when the run began; give the same {}, or "
           "start again in another output_dir",
           checkpoint, key, key);
    }
    Fail(ErrorCode::kInvalidArgument,
         "cannot resume from {}: {} was {} and is {} now; give the same value, or start again in "
         "another output_dir",
         checkpoint, key, found == saved.end() ? "not set" : found->dump(), value.dump());
  }
  for (const auto& [key, value] : saved.items()) {
    if (here.contains(key) || value.is_null()) continue;
    Fail(ErrorCode::kInvalidArgument,
         "cannot resume from {}: {} was {} and is not set now; give the same value, or start again "
         "in another output_dir",
         checkpoint, key, value.dump());
  }
}

}  // namespace lorikeet
