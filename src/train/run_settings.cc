#include "train/run_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "core/checksum.h"
#include "core/error.h"
#include "core/parallel.h"

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

// Covers every byte: checksums of pieces, computed on all threads and added in order.
std::string WholeFingerprint(const Weights& weights) {
  constexpr int64_t kPiece = int64_t{4} << 20;
  std::vector<std::pair<const std::byte*, int64_t>> pieces;
  const auto add = [&](const Tensor& t) {
    const auto* bytes = static_cast<const std::byte*>(t.data);
    for (int64_t at = 0; t && at < t.bytes(); at += kPiece) {
      pieces.emplace_back(bytes + at, std::min(kPiece, t.bytes() - at));
    }
  };
  add(weights.embed_tokens);
  ForEachLinear(weights, [&](const Linear& linear) {
    if (linear.weight.data != weights.embed_tokens.data) add(linear.weight);
    add(linear.bias);
  });
  ForEachNorm(weights, [&](const Norm& norm) { add(norm.weight); });
  std::vector<uint32_t> sums(pieces.size());
  ParallelDynamic(std::ssize(pieces), [&](int64_t i) {
    const auto& [data, bytes] = pieces[static_cast<size_t>(i)];
    sums[static_cast<size_t>(i)] = Crc32c(data, static_cast<size_t>(bytes));
  });
  Fingerprint print;
  for (const uint32_t sum : sums) print.Add(sum);
  return print.Text();
}

// Whether a saved value is that of this run; of an older version's fingerprint, as far as it goes.
bool IsSame(const std::string& key, const Json& saved, const Json& here) {
  if (saved == here) return true;
  if (key != "model" || !saved.is_string() || !here.is_string()) return false;
  const auto& now = here.get_ref<const std::string&>();
  return saved.get_ref<const std::string&>() == now.substr(0, now.find('-'));
}

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

std::string SampledFingerprintOf(const Model& model) {
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

std::string FingerprintOf(const Model& model) {
  return SampledFingerprintOf(model) + "-" + WholeFingerprint(model.weights());
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
    if (found != saved.end() && IsSame(key, *found, value)) continue;
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
