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
