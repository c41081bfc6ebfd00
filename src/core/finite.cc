#include "core/finite.h"

#include <cstdint>

namespace lorikeet {
namespace {

// Not finite: all bits of the exponent are set. No early exit, so that the loop is vectorised.
template <class Bits>
bool NoneHasAll(const Tensor& t, Bits exponent) {
  const auto* bits = static_cast<const Bits*>(t.data);
  const int64_t n = t.size();
  int64_t found = 0;
  for (int64_t i = 0; i < n; ++i) found += (bits[i] & exponent) == exponent ? 1 : 0;
  return found == 0;
}

}  // namespace

bool IsFinite(const Tensor& t) {
  switch (t.dtype) {
    case DType::kF32:
      return NoneHasAll<uint32_t>(t, 0x7F800000U);
    case DType::kBF16:
      return NoneHasAll<uint16_t>(t, 0x7F80U);
    case DType::kF16:
      return NoneHasAll<uint16_t>(t, 0x7C00U);
    default:
      return true;
  }
}

}  // namespace lorikeet
