// `lorikeet convert ADAPTER OUT --to peft|mlx|gguf`: converts adapters between formats.
#pragma once
#include <cstdint>
#include <string>

#include "checkpoint/adapter_formats.h"
#include "core/json.h"

namespace lorikeet {

struct AdapterConversion {
  std::string adapter, output, model;  // model: the base; "": the one that the adapter names
  AdapterFormat to = AdapterFormat::kPeft;
  bool overwrite = false;
  bool half = false;  // GGUF: f16 instead of f32; the folders keep the dtype of the factors
};

struct AdapterConversionFacts {
  AdapterFormat from = AdapterFormat::kPeft;
  int64_t modules = 0, parameters = 0;
  int64_t folded = 0;  // number of pairs whose scale was multiplied into B
  int64_t padded = 0;  // number of pairs padded with zeros to the common rank
};

// Reads, writes, and reads the result again to check it. Throws Error; kInvalidArgument if `output`
// exists and may not be replaced.
AdapterConversionFacts ConvertAdapter(const AdapterConversion& conversion);

std::string ConversionText(const AdapterConversion& conversion,
                           const AdapterConversionFacts& facts);
OrderedJson ConversionJson(const AdapterConversion& conversion,
                           const AdapterConversionFacts& facts);

}  // namespace lorikeet
