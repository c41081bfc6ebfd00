// Export of a model's weights to GGUF: which tensors the file has, of which type, and their bytes.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "checkpoint/gguf_architecture.h"
#include "checkpoint/gguf_writer.h"
#include "checkpoint/model_source.h"
#include "model/config.h"
#include "model/export.h"

namespace lorikeet {

// Types of a file's matrices, with llama.cpp's name of the mixture. Vectors and routers are f32.
enum class GgufTypes : uint8_t { kF32, kF16, kBF16, kQ8_0, kQ4_0, kQ4_K_M };

// "f32", ..., "q8_0", "q4_0", "q4_k_m"; empty names too throw Error(kInvalidArgument).
GgufTypes ParseGgufTypes(const std::string& name);
const char* GgufTypesName(GgufTypes types);
uint32_t GgufFileType(GgufTypes types);  // general.file_type
bool IsQuantised(GgufTypes types);

struct GgufTensor {
  std::string name;
  DType dtype;
  std::vector<int64_t> shape;
  std::vector<std::string> from;  // in the source: one, or each expert's
  int64_t part = 0, parts = 1;    // its rows are this one of so many equal parts
  int64_t interleaved_heads = 0;  // as in gguf_model.h; 0: rows stay in Hugging Face's order
  float add = 0;                  // to every value
};

// Tensors of a model in the order of the file. The type of a matrix is llama.cpp's choice for the
// mixture: more bits for the head, or an embedding that is the head, and for some values and down
// projections of Q4_K_M; a smaller block where the rows are not whole blocks, or else f16. Throws
// Error(kUnsupported) for a tensor that the architecture does not have.
std::vector<GgufTensor> PlanGgufTensors(const ModelSource& source, const ModelConfig& config,
                                        const GgufArchitecture& architecture, GgufTypes types);

// Passes the bytes of a tensor to `sink`, made in pieces of a few rows. `change` may be empty.
// Throws Error for a value that is not finite in the file.
void MakeGgufTensor(const ModelSource& source, const GgufTensor& tensor, const ChangeTensor& change,
                    const ByteSink& sink);

}  // namespace lorikeet
