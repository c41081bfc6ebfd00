// `Budget` limits the work of grading an answer. It is counted, not timed: a verdict must not
// depend on the machine.
#pragma once
#include <cstdint>

#include "core/error.h"

namespace lorikeet::math {

struct Budget {
  int64_t nodes = 2000;      // nodes of one expression
  int64_t work = 1'000'000;  // about 50 ns each: 20 for a product of two small terms

  // Both throw Error(kOutOfMemory) when the budget is exhausted.
  void SpendNode() {
    if (--nodes < 0) Fail(ErrorCode::kOutOfMemory, "an expression of too many parts");
  }
  void SpendWork(int64_t amount) {
    work -= amount;
    if (work < 0) Fail(ErrorCode::kOutOfMemory, "an expression that takes too long to expand");
  }
};

}  // namespace lorikeet::math
