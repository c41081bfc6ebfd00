#include "tokenizer/tokenizer.h"

namespace lorikeet {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
constexpr size_t kMaxCharTokens = 4;  // a character has at most 4 bytes, a token at least one

}  // namespace

std::string StreamDecoder::TextOf(size_t count) const {
  return tokenizer_->Decode(std::span(ids_).first(count), false);
}

// Returns the text of the first `count` ids without that of the context; they become the context.
std::string StreamDecoder::Take(size_t count) {
  const std::string before = TextOf(context_), all = TextOf(count);
  // An empty text must not become the context: the next token would be decoded as the first.
  if (all.size() <= before.size()) return "";
  ids_.erase(ids_.begin(), ids_.begin() + static_cast<std::ptrdiff_t>(context_));
  context_ = count - context_;
  return all.substr(before.size());
}

std::string StreamDecoder::Push(int32_t id) {
  if (skip_special_tokens_ && tokenizer_->IsSpecial(id)) return "";
  if (tokenizer_->IdToToken(id).empty()) return "";
  ids_.push_back(id);
  if (!TextOf(ids_.size()).ends_with(kReplacement)) return Take(ids_.size());
  // Only the last tokens can belong to an incomplete character; those before are ill-formed.
  const size_t pending = ids_.size() - context_;
  return pending > 2 * kMaxCharTokens ? Take(ids_.size() - kMaxCharTokens + 1) : "";
}

std::string StreamDecoder::Finish() {
  const std::string before = TextOf(context_), all = TextOf(ids_.size());
  ids_.clear();
  context_ = 0;
  return all.size() > before.size() ? all.substr(before.size()) : "";
}

}  // namespace lorikeet
