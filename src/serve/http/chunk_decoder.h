// A `ChunkDecoder` reads a body in chunks (Transfer-Encoding: chunked), in pieces of any size.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace lorikeet {

class ChunkDecoder {
 public:
  enum class State : uint8_t { kSize, kData, kDataEnd, kTrailer, kDone, kBad, kTooLarge };

  // max_bytes: largest size of the body.
  explicit ChunkDecoder(uint64_t max_bytes) : max_bytes_(max_bytes) {}

  // Reads from the front of `bytes`, appends data to *body, and returns how many bytes it needs no
  // longer. 0: it needs more of them, or has ended (kDone, kBad, kTooLarge).
  size_t Put(std::string_view bytes, std::string* body);
  State state() const { return state_; }

 private:
  size_t PutLine(std::string_view bytes, uint64_t body_bytes);
  void ReadSize(std::string_view line, uint64_t body_bytes);
  void ReadTrailer(std::string_view line);

  uint64_t max_bytes_;
  uint64_t rest_ = 0;  // bytes of the chunk that are still to come
  size_t trailer_bytes_ = 0;
  State state_ = State::kSize;
};

}  // namespace lorikeet
