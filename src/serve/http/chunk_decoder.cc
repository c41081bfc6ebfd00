#include "serve/http/chunk_decoder.h"

#include <algorithm>
#include <charconv>

#include "core/text.h"

namespace lorikeet {
namespace {

constexpr size_t kMaxLine = 4 << 10;  // also of a chunk's extensions, which are ignored
constexpr size_t kMaxTrailers = 16 << 10;
constexpr int kHexadecimal = 16;

bool IsControl(char c) { return (static_cast<unsigned char>(c) < ' ' && c != '\t') || c == '\x7f'; }

}  // namespace

size_t ChunkDecoder::Put(std::string_view bytes, std::string* body) {
  constexpr std::string_view kLineEnd = "\r\n";
  switch (state_) {
    case State::kSize:
    case State::kTrailer:
      return PutLine(bytes, body->size());
    case State::kData: {
      const auto size = static_cast<size_t>(std::min<uint64_t>(rest_, bytes.size()));
      *body += bytes.substr(0, size);
      rest_ -= size;
      if (rest_ == 0) state_ = State::kDataEnd;
      return size;
    }
    case State::kDataEnd:
      if (!kLineEnd.starts_with(bytes.substr(0, kLineEnd.size()))) state_ = State::kBad;
      if (!bytes.starts_with(kLineEnd)) return 0;
      state_ = State::kSize;
      return kLineEnd.size();
    case State::kDone:
    case State::kBad:
    case State::kTooLarge:
      return 0;
  }
  return 0;
}

// Lines are read whole.
size_t ChunkDecoder::PutLine(std::string_view bytes, uint64_t body_bytes) {
  const size_t end = bytes.substr(0, kMaxLine).find('\n');
  if (end == std::string_view::npos) {
    if (bytes.size() >= kMaxLine) state_ = State::kBad;
    return 0;
  }
  const std::string_view line = bytes.substr(0, end > 0 ? end - 1 : 0);
  if (end == 0 || bytes[end - 1] != '\r' || std::any_of(line.begin(), line.end(), IsControl)) {
    state_ = State::kBad;
  } else if (state_ == State::kSize) {
    ReadSize(line, body_bytes);
  } else {
    ReadTrailer(line);
  }
  return state_ == State::kBad || state_ == State::kTooLarge ? 0 : end + 1;
}

void ChunkDecoder::ReadSize(std::string_view line, uint64_t body_bytes) {
  const char* last = line.data() + line.size();
  const auto [end, error] = std::from_chars(line.data(), last, rest_, kHexadecimal);
  const bool number = end != line.data() && (end == last || *end == ';');
  if (!number) {
    state_ = State::kBad;
  } else if (error != std::errc() || rest_ > max_bytes_ - body_bytes) {
    state_ = State::kTooLarge;
  } else {
    state_ = rest_ == 0 ? State::kTrailer : State::kData;
  }
}

// Trailers are ignored: they must not change what the headers say.
void ChunkDecoder::ReadTrailer(std::string_view line) {
  trailer_bytes_ += line.size();
  const size_t colon = line.find(':');
  if (line.empty()) {
    state_ = State::kDone;
  } else if (colon == 0 || colon == std::string_view::npos || IsSpace(line[0]) ||
             trailer_bytes_ > kMaxTrailers) {
    state_ = State::kBad;
  }
}

}  // namespace lorikeet
