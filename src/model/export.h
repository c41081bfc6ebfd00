// Writing models: a Hugging Face folder's config.json and (sharded) safetensors.
#pragma once
#include <functional>
#include <string>

#include "checkpoint/model_source.h"
#include "model/lora.h"
#include "model/weights.h"

namespace lorikeet {

// May replace f32 values before they are rounded once: rows [begin, begin + values.rows()) of the
// tensor `name`, as the file has them; a vector comes whole.
using ChangeTensor =
    std::function<void(const std::string& name, int64_t begin, const Tensor& values)>;

// Writes config.json and model.safetensors (or shards of at most 4 GiB with their index) of a
// source into an existing folder, every tensor in `dtype` (f32, f16, bf16). `change` may be empty.
// untie_head: a head that is the embedding is written a second time, as lm_head.weight, which
// `change` is asked for as for any other, and config.json no longer ties the two.
void WriteModel(const ModelSource& source, DType dtype, const ChangeTensor& change,
                const std::string& dir, bool untie_head = false);

// The dtype in which a source's matrices are stored; bf16 when they are quantised.
DType StoredDtype(const ModelSource& source);

// Adds s B A of every pair to its weight, in f32: what `merge` passes to WriteModel.
ChangeTensor MergeAdapter(const LoraAdapter& adapter);

}  // namespace lorikeet
