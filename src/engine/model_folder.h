// Writing of a model folder, for `convert` and `merge`: atomic, and read again before it gets its
// name.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "checkpoint/model_source.h"
#include "engine/text_files.h"
#include "model/export.h"

namespace lorikeet {

struct FolderToWrite {
  std::string dir;
  DType dtype = DType::kBF16;
  ChangeTensor change = {};  // may be empty
  bool untie_head = false;   // as for WriteModel
  std::vector<TextFile> text_files = {};
  bool other_files = true;  // copy the source's other files (engine/other_files.h)
};

struct FolderFacts {
  int64_t tensors = 0;
  int64_t parameters = 0;
  int64_t bytes = 0;  // size of all files
  std::vector<std::string> files;
};

// "auto": as the source stores its matrices, bf16 for quantised ones. "bf16", "f32", "f16".
DType ParseStoredDtype(const std::string& name, const ModelSource& source);

// Checks the output before any work. Throws Error(kInvalidArgument) if `dir` may not be replaced:
// without `overwrite` if it exists; with it, if it is not a model folder, or one of the `inputs`.
void CheckOutputFolder(const std::string& dir, bool overwrite,
                       const std::vector<std::string>& inputs);

// Writes config.json, the weights and the text files, opens the result and compares names and
// shapes with the source, then renames it to its place. Throws Error.
FolderFacts WriteModelFolder(const ModelSource& source, const FolderToWrite& folder);

}  // namespace lorikeet
