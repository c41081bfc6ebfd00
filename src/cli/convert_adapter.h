// Adapters from one format into another: `lorikeet convert ADAPTER OUT --to peft|mlx|gguf`.
#pragma once
#include <cstdint>
#include <string>

#include "checkpoint/adapter_formats.h"
#include "core/json.h"

namespace lorikeet {

struct AdapterConversion {
  std::string adapter, output, model;  // model: "" for the base that the adapter names
  AdapterFormat to = AdapterFormat::kPeft;
  bool overwrite = false;
  bool half = false;  // GGUF: f16 instead of f32; the folders keep the dtype of the factors
};

struct AdapterConversionFacts {
  AdapterFormat from = AdapterFormat::kPeft;
  int64_t modules = 0, parameters = 0;
  int64_t folded = 0;  // pairs whose scale went into B
  int64_t padded = 0;  // pairs that got zeros up to the common rank
};

// Reads, writes, and reads what was written again. Throws Error, kInvalidArgument when something
// lies at `output` that may not be replaced.
AdapterConversionFacts ConvertAdapter(const AdapterConversion& conversion);

std::string ConversionText(const AdapterConversion& conversion,
                           const AdapterConversionFacts& facts);
OrderedJson ConversionJson(const AdapterConversion& conversion,
                           const AdapterConversionFacts& facts);

}  // namespace lorikeet
