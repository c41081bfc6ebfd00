// A `PreKind` is the pre-tokenization that a value of tokenizer.ggml.pre stands for.
#pragma once
#include <string>
#include <vector>

namespace lorikeet {

struct PreKind {
  std::vector<std::string> splits;  // regular expressions, one Split step each
  bool single_digits = false;       // a Digits step before ByteLevel
  bool gpt2_pattern = false;        // ByteLevel's own pattern
  bool nfc = false, ignore_merges = false;
  // Characters instead of bytes, U+2581 for spaces, byte fallback: SentencePiece with merges.
  bool sentence_piece = false;
  bool operator==(const PreKind&) const = default;
};

// Throws Error(kUnsupported) for a name that is not known.
PreKind PreKindOf(const std::string& pre);
// The name of a kind; "" if it has none. Of several names, one that every llama.cpp knows.
std::string PreNameOf(const PreKind& kind);

}  // namespace lorikeet
