#include "model/adapter_rows.h"

#include <algorithm>

#include "core/dry.h"

namespace lorikeet {

std::vector<AdapterRows> AllRows(const LoraWeights* weights, int64_t rows) {
  if (weights == nullptr) return {};
  return {{0, rows, weights}};
}

const LoraWeights* AdapterOfAll(std::span<const AdapterRows> adapters, int64_t rows) {
  const bool all = adapters.size() == 1 && adapters[0].begin == 0 && adapters[0].end == rows;
  return all ? adapters[0].weights : nullptr;
}

std::vector<AdapterRows> Among(std::span<const int32_t> tokens,
                               std::span<const AdapterRows> adapters) {
  std::vector<AdapterRows> rows;
  if (DryScope::active()) {  // tokens have no values: taken for the first ones
    const int64_t n = std::ssize(tokens);
    for (const AdapterRows& range : adapters) {
      if (range.begin < n) rows.push_back({range.begin, std::min(range.end, n), range.weights});
    }
    return rows;
  }
  for (const AdapterRows& range : adapters) {
    const auto begin = std::lower_bound(tokens.begin(), tokens.end(), range.begin);
    const auto end = std::lower_bound(begin, tokens.end(), range.end);
    if (begin != end) rows.push_back({begin - tokens.begin(), end - tokens.begin(), range.weights});
  }
  return rows;
}

void ProjectRows(const Linear& linear, std::span<const AdapterRows> adapters, const Tensor& x,
                 const Tensor& y, bool accumulate, const Tensor& lora_x_t, Arena& scratch) {
  const LoraWeights* one = AdapterOfAll(adapters, x.rows());
  if (one != nullptr || adapters.empty()) {
    const LoraFactors* lora = one == nullptr ? nullptr : one->Find(linear);
    LinearForward(linear, lora, x, y, accumulate, lora_x_t, scratch);
    return;
  }
  std::vector<LoraRows> rows;
  for (const AdapterRows& range : adapters) {
    const LoraFactors* lora = range.weights->Find(linear);
    if (lora != nullptr && range.begin < range.end) rows.push_back({range.begin, range.end, lora});
  }
  LinearForwardRows(linear, rows, x, y, accumulate, scratch);
}

}  // namespace lorikeet
