// Base64 (RFC 4648): how tokenizer.json stores the character map of SentencePiece.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace lorikeet {

std::string EncodeBase64(std::string_view bytes);
// Nothing for text that is not Base64 with its padding.
std::optional<std::string> DecodeBase64(std::string_view text);

}  // namespace lorikeet
