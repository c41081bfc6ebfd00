// `TensorBoardWriter` writes TensorBoard's event files: TFRecords of Event messages with scalar
// summaries. Record: u64 length, u32 masked CRC-32C of the length, bytes, u32 masked CRC-32C of the
// bytes, all little-endian.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace lorikeet {

// CRC-32C (core/checksum.h) with the mask of the record format.
uint32_t MaskedCrc32c(std::string_view bytes);

// Appends to DIR/events.out.tfevents.<time>.<host>.<pid>, which the constructor creates (with DIR).
// Every Write is one write(2) of whole records: a killed run leaves a readable file.
class TensorBoardWriter {
 public:
  // first_step > 0: a resumed run. TensorBoard then drops an earlier file's steps >= first_step.
  TensorBoardWriter(const std::string& dir, int64_t first_step);
  ~TensorBoardWriter();
  TensorBoardWriter(const TensorBoardWriter&) = delete;
  TensorBoardWriter& operator=(const TensorBoardWriter&) = delete;
  void Write(int64_t step, std::span<const std::pair<std::string, double>> scalars);
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  int fd_ = -1;
};

}  // namespace lorikeet
