// A `Tokenizer` converts text to token ids and back as defined by a tokenizer.json (the file of the
// `tokenizers` library), with the ids and text of that library, for BPE and unigram models.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/added_tokens.h"

namespace lorikeet {

// Tokens of a text. Token t covers the bytes [begin[t], end[t]) of the original text. Where tokens
// split a character, each has its own bytes; characters that normalization joins belong as a whole
// to each token made of them. Special tokens that the post-processor adds have empty spans.
struct Encoding {
  std::vector<int32_t> ids;
  std::vector<uint32_t> begin, end;
};

// Const methods are thread-safe.
class Tokenizer {
 public:
  // `where` names the file in errors. Throws Error(kCorruptFile) for inconsistent files and
  // Error(kUnsupported) naming the unsupported part (WordPiece, dropout, ...). Truncation and
  // padding settings of the file are ignored. `more`: tokens that other files of the model name.
  static Tokenizer FromJson(std::string_view tokenizer_json, const std::string& where,
                            std::span<const AddedToken> more = {});
  static Tokenizer FromFile(const std::string& path);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // `text` of at most 2 GiB; each ill-formed part of its UTF-8 counts as U+FFFD.
  // add_special_tokens: whether to add those of the post-processor (BOS, EOS), as `tokenizers` does
  // by default.
  std::vector<int32_t> Encode(std::string_view text, bool add_special_tokens = false) const;
  Encoding EncodeWithOffsets(std::string_view text, bool add_special_tokens = false) const;

  // Ids without a token are skipped. The result is valid UTF-8.
  std::string Decode(std::span<const int32_t> ids, bool skip_special_tokens = false) const;

  int32_t VocabSize() const;  // highest id + 1, added tokens included
  std::optional<int32_t> TokenToId(std::string_view token) const;  // token as spelled in the file
  std::string IdToToken(int32_t id) const;                         // "" if there is none
  // The bytes that a token adds behind the first of a text, which may be part of a character; "" if
  // there is no token. Joined, they are what Decode gives, except for the text's first token (whose
  // space some decoders remove) and for ill-formed UTF-8.
  std::string BytesOf(int32_t id) const;
  bool IsSpecial(int32_t id) const;
  const std::vector<AddedToken>& added_tokens() const;
  const std::vector<int32_t>& before() const;  // what the post-processor puts before a text
  // Model and steps: "BPE, byte fallback, normalizer NFC, pre-tokenizer Split ByteLevel".
  const std::string& kind() const;

 private:
  struct Parts;
  explicit Tokenizer(std::unique_ptr<const Parts> parts);
  std::unique_ptr<const Parts> parts_;
};

// Decodes a stream of ids. The texts that Push and Finish return, joined, are what
// Decode gives for all ids; none ends within a character.
class StreamDecoder {
 public:
  // `tokenizer` must outlive this.
  explicit StreamDecoder(const Tokenizer& tokenizer, bool skip_special_tokens = true)
      : tokenizer_(&tokenizer), skip_special_tokens_(skip_special_tokens) {}

  // The text that `id` completes; "" within a character of several tokens.
  std::string Push(int32_t id);
  // The remaining text: U+FFFD for an incomplete character. The decoder is then ready for another
  // stream.
  std::string Finish();

 private:
  std::string TextOf(size_t count) const;
  std::string Take(size_t count);

  const Tokenizer* tokenizer_;
  bool skip_special_tokens_;
  // Context, then pending ids. The text of a token may depend on whether it is the first, so the
  // last decoded tokens stay as context.
  std::vector<int32_t> ids_;
  size_t context_ = 0;
};

}  // namespace lorikeet
