// `lorikeet inspect model`: facts of a model on disk. Weights are not loaded.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/model_source.h"
#include "cli/facts.h"
#include "core/json.h"
#include "model/config.h"

namespace lorikeet {

struct ModelFacts {
  std::string path;
  std::string model_type;
  std::optional<ModelConfig> config;  // nothing if the model is not supported
  std::string why_unsupported;        // reason, if `config` is nothing
  struct Part {
    std::string name;  // "attention", or a dtype
    int64_t tensors = 0, parameters = 0, bytes = 0;
  };
  std::vector<Part> parts, dtypes;
  int64_t tensors = 0, parameters = 0, bytes = 0;
  struct TokenizerFacts {
    int64_t vocab_size = 0;
    std::string bos_token, eos_token, pad_token;
    std::vector<int32_t> eos_ids;
    bool add_bos = false;
    int64_t chat_template_bytes = 0;  // 0: no chat template
  };
  std::optional<TokenizerFacts> tokenizer;
  std::string why_no_tokenizer;  // error in its files; "" if there are none
};

ModelFacts InspectModel(const ModelSource& source);

Facts ModelReport(const ModelFacts& facts);

// One line per tensor: name, dtype, shape.
std::string TensorsText(const ModelSource& source);
OrderedJson TensorsJson(const ModelSource& source);

}  // namespace lorikeet
