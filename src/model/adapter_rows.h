// `AdapterRows` assign an adapter to a range of a batch's rows, so that one pass computes several
// adapters.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "core/arena.h"
#include "core/tensor.h"
#include "model/linear.h"
#include "model/lora_weights.h"

namespace lorikeet {

// Rows [begin, end) and their adapter. In a list, ranges ascend and do not overlap; rows in none
// use the base alone.
struct AdapterRows {
  int64_t begin = 0, end = 0;
  const LoraWeights* weights = nullptr;
};

// One range for all `rows` rows; empty if weights is null.
std::vector<AdapterRows> AllRows(const LoraWeights* weights, int64_t rows);
// The adapter that all `rows` rows have; null if there is none.
const LoraWeights* AdapterOfAll(std::span<const AdapterRows> adapters, int64_t rows);
// `adapters` restricted to `tokens`, ascending rows of the batch, as ranges of indices into
// `tokens`.
std::vector<AdapterRows> Among(std::span<const int32_t> tokens,
                               std::span<const AdapterRows> adapters);

// LinearForward with the adapter of each row of x. lora_x_t is written only if all rows have the
// same adapter.
void ProjectRows(const Linear& linear, std::span<const AdapterRows> adapters, const Tensor& x,
                 const Tensor& y, bool accumulate, const Tensor& lora_x_t, Arena& scratch);

}  // namespace lorikeet
