// Writing of a whole model as one GGUF file, for `convert`.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "checkpoint/model_source.h"
#include "model/gguf_export.h"

namespace lorikeet {

struct GgufToWrite {
  std::string path;
  GgufTypes types = GgufTypes::kBF16;
  bool accept_tokenizer = false;  // write the file even if llama.cpp splits texts otherwise
  // Further checks of the complete file, before it gets its name; throws Error. May be empty.
  std::function<void(const ModelSource& written)> check{};
};

struct GgufFacts {
  int64_t tensors = 0, parameters = 0;
  int64_t bytes = 0;                      // size of the file
  std::map<std::string, int64_t> dtypes;  // number of tensors of each
  bool tokenizer = false;
  std::vector<std::string> end_tokens;  // that end a generation
  bool chat_template = false;
  std::vector<std::string> notes;  // for the user
};

// "auto": as the source stores its matrices, bf16 for quantised ones; else as ParseGgufTypes.
GgufTypes ChooseGgufTypes(const std::string& name, const ModelSource& source);

// Checks the output before any work. Throws Error(kInvalidArgument) if the file exists and is not
// to be replaced, or is one that the source reads.
void CheckOutputGguf(const std::string& path, bool overwrite, const ModelSource& source);

// The metadata are read again and compared with the model's config.json before any tensor is
// written, the file is read again before it gets its name, and it appears whole or not at all. A
// few rows of a tensor are in memory at once. Throws Error: kUnsupported naming what the file
// cannot say, kIo where the disk is too small.
GgufFacts WriteGgufModel(const ModelSource& source, const GgufToWrite& output);

}  // namespace lorikeet
