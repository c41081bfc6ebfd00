#include "tokenizer/aligned_text.h"

#include <algorithm>

namespace lorikeet {

AlignedText::AlignedText(const AlignedText& whole, uint32_t begin, uint32_t end)
    : source_(whole.view().substr(begin, end - begin)),
      base_(whole.from_.empty() ? whole.base_ + begin : begin),
      track_(whole.track_) {
  if (!whole.from_.empty()) {
    from_.assign(whole.from_.begin() + begin, whole.from_.begin() + end);
  }
}

Span AlignedText::Origin(uint32_t begin, uint32_t end) const {
  if (begin >= end) return {};
  return {Origin(begin).begin, Origin(end - 1).end};
}

Rewriter::Rewriter(AlignedText* text) : text_(*text) {
  out_.reserve(text_.view().size() + text_.view().size() / 4 + 8);
}

void Rewriter::Copy(uint32_t begin, uint32_t end) {
  out_.append(text_.view(), begin, end - begin);
  if (!text_.track_) return;
  for (uint32_t i = begin; i < end; ++i) from_.push_back(text_.Origin(i));
}

void Rewriter::Put(std::string_view bytes, Span old_origin) {
  out_.append(bytes);
  if (text_.track_) {
    from_.insert(from_.end(), bytes.size(), text_.Origin(old_origin.begin, old_origin.end));
  }
}

void Rewriter::Commit() {
  text_.own_ = std::move(out_);
  text_.from_ = std::move(from_);
  text_.changed_ = true;
}

}  // namespace lorikeet
