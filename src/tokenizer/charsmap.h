// A `Charsmap` is the "precompiled charsmap" of a SentencePiece model: which characters, and which
// short sequences of them, are replaced by which text before a text is cut into pieces.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/aligned_text.h"

namespace lorikeet {

class Charsmap {
 public:
  // `blob`: the size of a trie, the trie (a double array), and the replacements, each ended by a
  // zero byte. Throws Error(kCorruptFile) naming `where`.
  Charsmap(std::string_view blob, const std::string& where);

  // The longest sequence at each position is replaced: as SentencePiece does.
  void ReplaceLongest(AlignedText* text) const;
  // As `tokenizers` does ("Precompiled"): what a short grapheme begins with replaces the whole
  // grapheme; else each of its characters is looked up by itself.
  void ReplaceGraphemes(AlignedText* text) const;

 private:
  enum class Which { kShortest, kLongest };
  // The replacement of a prefix of `text`, whose length goes to *length. Nothing if none is mapped.
  std::optional<std::string_view> Find(std::string_view text, Which which, size_t* length) const;

  std::vector<uint32_t> units_;
  std::string replacements_;
};

}  // namespace lorikeet
