#include "core/checksum.h"

#include <algorithm>
#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace lorikeet {
namespace {

using CrcTable = std::array<uint32_t, 256>;

// tables[k][byte]: the remainder of a byte that k zero bytes follow.
constexpr std::array<CrcTable, 8> MakeCrcTables() {
  std::array<CrcTable, 8> tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82F63B78U : 0U);
    tables[0][byte] = crc;
  }
  for (size_t k = 1; k < tables.size(); ++k) {
    for (size_t byte = 0; byte < 256; ++byte) {
      const uint32_t before = tables[k - 1][byte];
      tables[k][byte] = (before >> 8) ^ tables[0][before & 0xFF];
    }
  }
  return tables;
}
constexpr std::array<CrcTable, 8> kCrcTables = MakeCrcTables();

uint64_t Word(const uint8_t* p) {  // little-endian
  uint64_t word = 0;
  for (size_t i = 0; i < sizeof word; ++i) word |= static_cast<uint64_t>(p[i]) << (8 * i);
  return word;
}

uint32_t TableCrc(uint32_t crc, const uint8_t* p, size_t bytes) {
  for (; bytes >= 8; p += 8, bytes -= 8) {
    const uint64_t word = Word(p) ^ crc;
    crc = 0;
    for (size_t i = 0; i < 8; ++i) crc ^= kCrcTables[7 - i][word >> (8 * i) & 0xFF];
  }
  for (; bytes > 0; ++p, --bytes) crc = (crc >> 8) ^ kCrcTables[0][(crc ^ *p) & 0xFF];
  return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) uint32_t CpuCrc(uint32_t crc, const uint8_t* p, size_t bytes) {
  uint64_t state = crc;
  for (; bytes >= 8; p += 8, bytes -= 8) {
    uint64_t word = 0;
    std::memcpy(&word, p, sizeof word);
    state = _mm_crc32_u64(state, word);
  }
  crc = static_cast<uint32_t>(state);
  for (; bytes > 0; ++p, --bytes) crc = _mm_crc32_u8(crc, *p);
  return crc;
}
bool CpuHasCrc() { return __builtin_cpu_supports("sse4.2") != 0; }
#else
uint32_t CpuCrc(uint32_t crc, const uint8_t* p, size_t bytes) { return TableCrc(crc, p, bytes); }
bool CpuHasCrc() { return false; }
#endif

}  // namespace

uint32_t Crc32c(const void* data, size_t bytes, uint32_t before) {
  static const bool has_crc = CpuHasCrc();
  const auto* p = static_cast<const uint8_t*>(data);
  return ~(has_crc ? CpuCrc(~before, p, bytes) : TableCrc(~before, p, bytes));
}

uint32_t Crc32c(std::string_view bytes) { return Crc32c(bytes.data(), bytes.size()); }

uint32_t PortableCrc32c(std::string_view bytes) {
  return ~TableCrc(~0U, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
}

FileSum SumOf(const std::string& path) { return SumOf(MappedFile(path)); }

FileSum SumOf(const MappedFile& file) {
  constexpr size_t kPiece = size_t{8} << 20;
  FileSum sum{.bytes = file.size()};
  for (size_t at = 0; at < file.size(); at += kPiece) {
    const size_t bytes = std::min(kPiece, file.size() - at);
    sum.crc32c = Crc32c(file.data() + at, bytes, sum.crc32c);
    file.Forget(file.data() + at, bytes);
  }
  return sum;
}

}  // namespace lorikeet
