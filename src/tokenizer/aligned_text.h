// An `AlignedText` is a text in the course of normalization: each byte keeps its origin, the bytes
// of the original text from which it came.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/unicode.h"

namespace lorikeet {

class AlignedText {
 public:
  // `source` must outlive the text while the text is unchanged. Its byte i is byte base+i of the
  // original. With `track` false origins are not kept (Origin is then meaningless after a change).
  AlignedText(std::string_view source, uint32_t base, bool track)
      : source_(source), base_(base), track_(track) {}
  // The piece [begin, end) of `whole`, which must outlive it.
  AlignedText(const AlignedText& whole, uint32_t begin, uint32_t end);

  std::string_view view() const { return changed_ ? std::string_view(own_) : source_; }
  bool at_start() const { return base_ == 0; }  // whether this is the start of the original text
  Span Origin(uint32_t byte) const {
    return from_.empty() ? Span{base_ + byte, base_ + byte + 1} : from_[byte];
  }
  // The span that covers the origins of the bytes [begin, end).
  Span Origin(uint32_t begin, uint32_t end) const;

 private:
  friend class Rewriter;
  std::string_view source_;
  std::string own_;
  std::vector<Span> from_;  // per byte of view(); empty: the identity, shifted by base_
  uint32_t base_ = 0;
  bool track_ = false, changed_ = false;
};

// Builds the next state of a text from left to right; Commit replaces the text by it.
class Rewriter {
 public:
  explicit Rewriter(AlignedText* text);
  void Copy(uint32_t begin, uint32_t end);            // unchanged bytes
  void Put(std::string_view bytes, Span old_origin);  // new bytes; origin: bytes of the old text
  uint32_t size() const { return static_cast<uint32_t>(out_.size()); }
  void Commit();

 private:
  AlignedText& text_;
  std::string out_;
  std::vector<Span> from_;
};

}  // namespace lorikeet
