// The "pre_tokenizer" of tokenizer.json: splits a normalized text into the pieces for BPE.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "core/json.h"
#include "tokenizer/aligned_text.h"

namespace lorikeet {

class PreTokenizer {
 public:
  PreTokenizer() = default;
  // `json`: the object, or null for none (a text is then one piece). Throws Error naming an
  // unsupported part.
  PreTokenizer(const Json& json, const std::string& where);

  // Whether BPE gets raw bytes (a ByteLevel step) instead of characters.
  bool byte_level() const { return byte_level_; }
  // Fills `pieces` with spans of the text, in order; steps that add characters change the text.
  void Apply(AlignedText* text, std::vector<Span>* pieces) const;

 private:
  using Step = std::function<void(AlignedText*, std::vector<Span>*)>;
  void Parse(const Json& json, const std::string& where, int depth);
  void ParseByteLevel(const Json& json, const std::string& where);
  std::vector<Step> steps_;
  bool byte_level_ = false;
};

}  // namespace lorikeet
