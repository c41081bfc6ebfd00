// Export of models: config.json and (sharded) safetensors of a Hugging Face folder.
#pragma once
#include <functional>
#include <string>

#include "checkpoint/model_source.h"
#include "model/lora.h"
#include "model/weights.h"

namespace lorikeet {

// Changes f32 values in place, before they are rounded once: rows [begin, begin + values.rows()) of
// the tensor `name` in the file; a vector is passed whole.
using ChangeTensor =
    std::function<void(const std::string& name, int64_t begin, const Tensor& values)>;

// Writes config.json and model.safetensors (or shards of at most 4 GiB with their index) of a
// source into an existing folder, every tensor in `dtype` (f32, f16, bf16), but those of a
// wrapper's other parts, such as a vision tower, byte for byte as they are. `change` may be empty.
// untie_head: a tied head is written as a tensor of its own, lm_head.weight, to which `change` is
// applied as to any other, and config.json no longer ties it to the embedding.
void WriteModel(const ModelSource& source, DType dtype, const ChangeTensor& change,
                const std::string& dir, bool untie_head = false);

// The dtype in which a source's matrices are stored; bf16 when they are quantised.
DType StoredDtype(const ModelSource& source);

// Adds s B A of every pair to its weight, in f32; for `merge`.
ChangeTensor MergeAdapter(const LoraAdapter& adapter);

}  // namespace lorikeet
