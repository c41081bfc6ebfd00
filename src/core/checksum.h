// CRC-32C checksums of memory and of files: they detect accidents, not intent.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/file.h"

namespace lorikeet {

// CRC-32C (Castagnoli) as in RFC 3720, with the CPU's instruction where it has one. before: that of
// the bytes in front of these.
uint32_t Crc32c(const void* data, size_t bytes, uint32_t before = 0);
uint32_t Crc32c(std::string_view bytes);
// The same without that instruction, for tests.
uint32_t PortableCrc32c(std::string_view bytes);

// A file's size and CRC-32C.
struct FileSum {
  uint64_t bytes = 0;
  uint32_t crc32c = 0;
  bool operator==(const FileSum&) const = default;
};
// Throws Error naming the file.
FileSum SumOf(const std::string& path);
// Does not leave pages of the file in this process's memory.
FileSum SumOf(const MappedFile& file);

}  // namespace lorikeet
