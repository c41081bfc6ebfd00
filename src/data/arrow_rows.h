// Parquet and Arrow files as rows of JSON. They are read by builds with Arrow only
// (-DLORIKEET_ARROW_DIR, docs/building.md).
#pragma once
#include <string>

#include "data/csv.h"

namespace lorikeet {

// A Parquet file, an Arrow file or stream, or a folder that `datasets` saved. A row's line is its
// number, counted from 1. Nulls are left out; columns of bytes become {"bytes": N}. Throws
// Error(kInvalidArgument) where this build has no Arrow, with the command that converts the file;
// Error(kCorruptFile) for what Arrow cannot read.
JsonLines ParquetToJson(const std::string& path);
JsonLines ArrowToJson(const std::string& path);
// Whether a folder is one that `datasets` saved: a state.json names its Arrow files.
bool IsDatasetFolder(const std::string& path);
JsonLines DatasetFolderToJson(const std::string& path);

// "Arrow 26.0.1", or "none".
std::string ArrowVersion();

}  // namespace lorikeet
