// The "decoder" of tokenizer.json: tokens to text.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "core/json.h"

namespace lorikeet {

class Decoder {
 public:
  Decoder() = default;
  // `json`: the object, or null for none (tokens are then joined by spaces). Throws Error naming an
  // unsupported part.
  Decoder(const Json& json, const std::string& where);

  std::string Decode(std::vector<std::string> tokens) const;
  // The bytes that a token adds behind another one.
  std::string BytesOf(const std::string& token) const;

 private:
  void Parse(const Json& json, const std::string& where, int depth);
  std::vector<std::function<void(std::vector<std::string>*)>> steps_;
  bool byte_level_ = false, byte_fallback_ = false;  // whether there is such a step
};

}  // namespace lorikeet
