// Containers of data files: the kind of a file by its first bytes and its name, and unpacking.
#pragma once
#include <functional>
#include <string>
#include <string_view>

namespace lorikeet {

enum class Container {
  kText,  // JSON, or something that the JSON reader will refuse
  kCsv,
  kTsv,
  kGzip,
  kZstd,
  kParquet,
  kArrow,  // Arrow IPC: a file or a stream, such as those of `datasets`
};

// `name` counts for CSV and TSV only (.csv, .tsv, also before .gz and .zst). Throws
// Error(kInvalidArgument) with what to do for containers that are not read: zip, xz, bzip2,
// SQLite, Excel.
Container ContainerOf(std::string_view content, const std::string& name);

// The unpacked content of a kGzip or kZstd file; several members or frames are joined. Throws
// Error(kCorruptFile) naming `name` for damaged or cut data, and Error(kOutOfMemory) when the
// result exceeds the memory that is available.
std::string Unpack(Container container, std::string_view content, const std::string& name);

// "rows.csv" for "rows.csv.gz".
std::string NameWithoutPacking(const std::string& name);

}  // namespace lorikeet
