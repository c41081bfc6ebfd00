#include "core/tensor.h"

namespace lorikeet {
namespace {

struct DTypeRow {
  const char* name;
  int64_t block;  // elements
  int64_t bytes;  // bytes of a block
};

DTypeRow RowOf(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return {"f32", 1, 4};
    case DType::kBF16:
      return {"bf16", 1, 2};
    case DType::kF16:
      return {"f16", 1, 2};
    case DType::kI32:
      return {"i32", 1, 4};
    case DType::kI64:
      return {"i64", 1, 8};
    case DType::kU8:
      return {"u8", 1, 1};
    case DType::kBool:
      return {"bool", 1, 1};
    case DType::kI8:
      return {"i8", 1, 1};
    case DType::kI16:
      return {"i16", 1, 2};
    case DType::kU16:
      return {"u16", 1, 2};
    case DType::kU32:
      return {"u32", 1, 4};
    case DType::kU64:
      return {"u64", 1, 8};
    case DType::kF64:
      return {"f64", 1, 8};
    case DType::kF8E4M3:
      return {"f8_e4m3", 1, 1};
    case DType::kF8E5M2:
      return {"f8_e5m2", 1, 1};
    case DType::kF8E8M0:
      return {"f8_e8m0", 1, 1};
    case DType::kQ4_0:
      return {"q4_0", 32, 18};
    case DType::kQ4_1:
      return {"q4_1", 32, 20};
    case DType::kQ5_0:
      return {"q5_0", 32, 22};
    case DType::kQ5_1:
      return {"q5_1", 32, 24};
    case DType::kQ8_0:
      return {"q8_0", 32, 34};
    case DType::kQ2_K:
      return {"q2_k", 256, 84};
    case DType::kQ3_K:
      return {"q3_k", 256, 110};
    case DType::kQ4_K:
      return {"q4_k", 256, 144};
    case DType::kQ5_K:
      return {"q5_k", 256, 176};
    case DType::kQ6_K:
      return {"q6_k", 256, 210};
    case DType::kIQ2_XXS:
      return {"iq2_xxs", 256, 66};
    case DType::kIQ2_XS:
      return {"iq2_xs", 256, 74};
    case DType::kIQ2_S:
      return {"iq2_s", 256, 82};
    case DType::kIQ3_XXS:
      return {"iq3_xxs", 256, 98};
    case DType::kIQ3_S:
      return {"iq3_s", 256, 110};
    case DType::kIQ1_S:
      return {"iq1_s", 256, 50};
    case DType::kIQ1_M:
      return {"iq1_m", 256, 56};
    case DType::kIQ4_NL:
      return {"iq4_nl", 32, 18};
    case DType::kIQ4_XS:
      return {"iq4_xs", 256, 136};
    case DType::kMXFP4:
      return {"mxfp4", 32, 17};
    case DType::kTQ1_0:
      return {"tq1_0", 256, 54};
    case DType::kTQ2_0:
      return {"tq2_0", 256, 66};
  }
  CHECK(false && "unknown dtype");
}

}  // namespace

const char* DTypeName(DType dtype) { return RowOf(dtype).name; }
int64_t DTypeBlock(DType dtype) { return RowOf(dtype).block; }

int64_t DTypeBytes(DType dtype, int64_t count) {
  const DTypeRow row = RowOf(dtype);
  CHECK(count % row.block == 0);
  return count / row.block * row.bytes;
}

}  // namespace lorikeet
