#include "core/tensorboard.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "core/checksum.h"
#include "core/error.h"
#include "core/file.h"

namespace lorikeet {
namespace {

template <class T>
void AppendLittleEndian(std::string& out, T value) {
  for (size_t i = 0; i < sizeof(T); ++i) out += static_cast<char>((value >> (8 * i)) & 0xFF);
}

// Protocol buffers' wire format, as much of it as an Event needs.
void AppendVarint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}
enum WireType : uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };
void AppendTag(std::string& out, uint32_t field, WireType type) {
  AppendVarint(out, field << 3 | type);
}
void AppendBytes(std::string& out, uint32_t field, std::string_view bytes) {
  AppendTag(out, field, kBytes);
  AppendVarint(out, bytes.size());
  out += bytes;
}

// message Event { double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary =
// 5;
//                 SessionLog session_log = 7; }
std::string EventHead(int64_t step) {
  const double now =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  std::string event;
  AppendTag(event, 1, kFixed64);
  AppendLittleEndian(event, std::bit_cast<uint64_t>(now));
  AppendTag(event, 2, kVarint);
  AppendVarint(event, static_cast<uint64_t>(step));
  return event;
}

// message Summary { repeated Value value = 1; }   message Value { string tag = 1; float
// simple_value = 2; }
std::string ScalarSummary(std::span<const std::pair<std::string, double>> scalars) {
  std::string summary;
  for (const auto& [tag, value] : scalars) {
    std::string entry;
    AppendBytes(entry, 1, tag);
    AppendTag(entry, 2, kFixed32);
    AppendLittleEndian(entry, std::bit_cast<uint32_t>(static_cast<float>(value)));
    AppendBytes(summary, 1, entry);
  }
  return summary;
}

std::string Record(const std::string& event) {
  std::string length;
  AppendLittleEndian(length, static_cast<uint64_t>(event.size()));
  std::string record = length;
  AppendLittleEndian(record, MaskedCrc32c(length));
  record += event;
  AppendLittleEndian(record, MaskedCrc32c(event));
  return record;
}

std::string EventFileName() {
  std::array<char, 256> host{};
  if (gethostname(host.data(), host.size() - 1) != 0 || host[0] == '\0')
    std::strcpy(host.data(), "localhost");
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return fmt::format("events.out.tfevents.{:010}.{}.{}",
                     std::chrono::duration_cast<std::chrono::seconds>(now).count(), host.data(),
                     getpid());
}

}  // namespace

uint32_t MaskedCrc32c(std::string_view bytes) {
  const uint32_t crc = Crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xA282EAD8U;
}

TensorBoardWriter::TensorBoardWriter(const std::string& dir, int64_t first_step) {
  CreateFolders(dir);
  path_ = dir + "/" + EventFileName();
  fd_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd_ < 0) Fail(ErrorCode::kIo, "{}: cannot create: {}", path_, std::strerror(errno));
  std::string version = EventHead(0);
  AppendBytes(version, 3, "brain.Event:2");
  std::string records = Record(version);
  if (first_step > 0) {
    constexpr std::string_view kSessionStart = "\x08\x01";  // SessionLog { status = 1: START }
    std::string start = EventHead(first_step);
    AppendBytes(start, 7, kSessionStart);
    records += Record(start);
  }
  WriteAll(fd_, records.data(), records.size(), path_);
}

TensorBoardWriter::~TensorBoardWriter() { close(fd_); }

void TensorBoardWriter::Write(int64_t step,
                              std::span<const std::pair<std::string, double>> scalars) {
  std::string event = EventHead(step);
  AppendBytes(event, 5, ScalarSummary(scalars));
  const std::string record = Record(event);
  WriteAll(fd_, record.data(), record.size(), path_);
}

}  // namespace lorikeet
