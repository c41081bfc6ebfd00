#include "checkpoint/adapter_pairs.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "checkpoint/dequantise.h"
#include "core/error.h"
#include "core/text.h"

namespace lorikeet {
namespace {

// The most common value; of equally common ones the first.
template <class T>
T Commonest(const std::vector<T>& values) {
  CHECK(!values.empty());
  std::map<T, int64_t> counts;
  for (const T& value : values) ++counts[value];
  return *std::max_element(values.begin(), values.end(),
                           [&](const T& a, const T& b) { return counts[a] < counts[b]; });
}

// "model.layers.12.mlp.up_proj" -> 12 and "mlp.up_proj".
std::optional<std::pair<int64_t, std::string>> LayerOf(std::string_view module) {
  constexpr std::string_view kLayers = "model.layers.";
  if (!module.starts_with(kLayers)) return std::nullopt;
  module.remove_prefix(kLayers.size());
  int64_t layer = 0;
  const char* const last = module.data() + module.size();
  const auto [end, error] = std::from_chars(module.data(), last, layer);
  if (error != std::errc() || end == last || *end != '.') return std::nullopt;
  return std::pair(layer, std::string(end + 1, last));
}

// Names if layers 0 to the last have the same modules, since names apply to every layer; else whole
// paths.
std::vector<std::string> TargetsOf(const std::vector<AdapterFile::Pair>& pairs) {
  std::map<int64_t, std::set<std::string>> layers;
  std::set<std::string> paths, names;
  for (const auto& pair : pairs) {
    paths.insert(pair.module);
    const auto split = LayerOf(pair.module);
    if (split) layers[split->first].insert(split->second);
    const std::string& path = split ? split->second : pair.module;
    names.insert(path.substr(path.rfind('.') + 1));
  }
  const bool uniform = !layers.empty() && layers.rbegin()->first + 1 == std::ssize(layers) &&
                       std::all_of(layers.begin(), layers.end(), [&](const auto& layer) {
                         return layer.second == layers.begin()->second;
                       });
  const std::set<std::string>& targets = uniform ? names : paths;
  return {targets.begin(), targets.end()};
}

}  // namespace

AdapterFile::Pair* PairsOfFile::Checked(const std::string& module) {
  // A module's name becomes a pattern of peft's, and part of messages.
  const bool plain =
      !module.empty() && std::all_of(module.begin(), module.end(), [](unsigned char c) {
        return std::isalnum(c) != 0 || c == '_' || c == '.';
      });
  if (!plain)
    Fail(ErrorCode::kCorruptFile, "{}: {}: not a module's name", path_, QuotedName(module));
  return &pairs_[module];
}

std::vector<AdapterFile::Pair> PairsOfFile::Finish() {
  constexpr int64_t kMaxRank = 1 << 16;  // as in adapter_config.json
  std::vector<AdapterFile::Pair> finished;
  for (auto& [module, pair] : pairs_) {
    const auto fail = [&, &module = module](const std::string& what) {
      Fail(ErrorCode::kCorruptFile, "{}: {}: {}", path_, QuotedName(module), what);
    };
    if (!pair.a) fail("has lora_b but no lora_a");
    if (!pair.b) fail("has lora_a but no lora_b");
    if (pair.a.rows() != pair.b.cols() || pair.a.rows() > kMaxRank) {
      fail(fmt::format("lora_a is of rank {} and lora_b of rank {}", pair.a.rows(), pair.b.cols()));
    }
    pair.module = module;
    pair.r = static_cast<int>(pair.a.rows());
    finished.push_back(std::move(pair));
  }
  if (finished.empty()) Fail(ErrorCode::kCorruptFile, "{}: holds no LoRA factors", path_);
  return finished;
}

LoraConfig ConfigOfPairs(const std::vector<AdapterFile::Pair>& pairs) {
  std::vector<int> ranks;
  std::vector<float> alphas;
  for (const auto& pair : pairs) {
    ranks.push_back(pair.r);
    alphas.push_back(pair.alpha);
  }
  LoraConfig config;
  config.r = Commonest(ranks);
  config.lora_alpha = Commonest(alphas);
  for (const auto& pair : pairs) {
    if (pair.r != config.r) config.rank_pattern.emplace_back(pair.module, pair.r);
    if (pair.alpha != config.lora_alpha) {
      config.alpha_pattern.emplace_back(pair.module, pair.alpha);
    }
  }
  config.target_modules = TargetsOf(pairs);
  return config;
}

double ScaleOf(const LoraConfig& config, const AdapterFile::Pair& pair) {
  const double r = pair.r;
  return static_cast<double>(pair.alpha) / (config.use_rslora ? std::sqrt(r) : r);
}

void WidenInto(const Tensor& from, const Tensor& to) {
  CHECK(to.dtype == DType::kF32 && from.size() == to.size());
  DequantiseRow(from.dtype, static_cast<const std::byte*>(from.data), from.size(), to.as<float>());
}

FoldedAdapter FoldScales(const AdapterFile& adapter, OneNumber which) {
  if (adapter.config.use_dora) {
    Fail(ErrorCode::kUnsupported,
         "a DoRA adapter has no form in MLX and GGUF files; merge it into its base (lorikeet "
         "merge)");
  }
  std::vector<double> numbers;
  for (const auto& pair : adapter.pairs) {
    if (which == OneNumber::kScale) {
      numbers.push_back(ScaleOf(adapter.config, pair));
    } else {
      numbers.push_back(pair.alpha * (adapter.config.use_rslora ? std::sqrt(pair.r) : 1.0));
    }
  }
  FoldedAdapter folded;
  folded.number = Commonest(numbers);
  if (folded.number == 0) folded.number = 1;
  for (size_t i = 0; i < numbers.size(); ++i) {
    const auto& pair = adapter.pairs[i];
    folded.pairs.push_back({pair.module, pair.a, pair.b});
    if (numbers[i] == folded.number) continue;
    const double factor = numbers[i] / folded.number;
    folded.storage.emplace_back(DType::kF32,
                                std::initializer_list<int64_t>{pair.b.rows(), pair.b.cols()});
    const Tensor& b = folded.storage.back().tensor();
    WidenInto(pair.b, b);
    for (int64_t k = 0; k < b.size(); ++k) {
      b.as<float>()[k] = static_cast<float>(b.as<float>()[k] * factor);
    }
    folded.pairs.back().b = b;
    ++folded.folded;
  }
  return folded;
}

}  // namespace lorikeet
