// The text of answers: status lines, headers and chunks.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "serve/http/http_server.h"

namespace lorikeet {

// How the end of an answer is found, and whether another may follow.
enum class BodyFraming : uint8_t { kLength, kChunked, kUntilClose };

// Status line and headers with the empty line after them. The length is that of response.body.
std::string HeadText(const HttpResponse& response, BodyFraming framing, bool keep_alive);

// A chunk of a chunked body; `piece` is not empty, for that would be the last one.
std::string ChunkText(std::string_view piece);
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";
inline constexpr std::string_view kContinueText = "HTTP/1.1 100 Continue\r\n\r\n";

// Whether answers of this status have a body: not 1xx, 204 and 304.
bool StatusHasBody(int status);

}  // namespace lorikeet
