// The list of a model's weights: names and shapes, declared block by block from the configuration.
// It is used for loading, initialising and counting.
#pragma once
#include <concepts>
#include <cstdint>
#include <functional>
#include <type_traits>

#include "model/linear.h"
#include "model/norm.h"

namespace lorikeet {

// `Base` or `const Base`: walks over weights come in both forms.
template <class T, class Base>
concept MaybeConst = std::same_as<std::remove_const_t<T>, Base>;

struct LinearDeclaration {
  Linear* linear;                 // its name is set
  int64_t out, in;                // shape of the weight
  bool bias;                      // (out)
  bool adds_to_residual = false;  // the last product of a branch
};

// Called for every weight in the order of lora_slot. Both must be set.
struct WeightVisitor {
  std::function<void(const LinearDeclaration&)> linear;
  std::function<void(Norm* norm, int64_t size)> norm;  // its name is set
};

}  // namespace lorikeet
