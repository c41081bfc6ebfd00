// `AdapterRows` say which rows of a batch have which adapter, so that one pass computes many.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "core/arena.h"
#include "core/tensor.h"
#include "model/linear.h"
#include "model/lora_weights.h"

namespace lorikeet {

// Rows [begin, end) and their adapter. Lists of them ascend and do not overlap; rows in none use
// the base alone.
struct AdapterRows {
  int64_t begin = 0, end = 0;
  const LoraWeights* weights = nullptr;
};

// One range for all of `rows`; empty when weights is null.
std::vector<AdapterRows> AllRows(const LoraWeights* weights, int64_t rows);
// The adapter of all of `rows`; null when there is no such one.
const LoraWeights* AdapterOfAll(std::span<const AdapterRows> adapters, int64_t rows);
// `adapters` of a batch's rows as ranges of `tokens`, some of these rows, ascending.
std::vector<AdapterRows> Among(std::span<const int32_t> tokens,
                               std::span<const AdapterRows> adapters);

// LinearForward with the adapter of each row of x. lora_x_t is written only where one adapter has
// all rows.
void ProjectRows(const Linear& linear, std::span<const AdapterRows> adapters, const Tensor& x,
                 const Tensor& y, bool accumulate, const Tensor& lora_x_t, Arena& scratch);

}  // namespace lorikeet
