#include "serve/choice_text.h"

#include <utility>

namespace lorikeet {

ChoiceText::ChoiceText(const Tokenizer& tokenizer, const ChoiceTextOptions& options)
    : options_(options),
      text_(tokenizer, options.stop, options.skip_special_tokens),
      decoder_(tokenizer, options.skip_special_tokens) {}

std::string ChoiceText::Push(const SampledToken& token, bool is_stop_token) {
  if (options_.details) {
    TextToken& added = tokens_.emplace_back();
    added.id = token.token;
    added.logprob = token.logprob;
    added.top = token.top;
    added.begin = raw_bytes_;
    if (!is_stop_token || !options_.hide_stop_token) added.text = decoder_.Push(token.token);
    raw_bytes_ += added.text.size();
  }
  if (is_stop_token && options_.hide_stop_token) return "";
  std::string piece = text_.Push(token.token);
  if (text_.stopped() && options_.include_stop) piece += text_.stopped_by();
  all_ += piece;
  return piece;
}

std::string ChoiceText::Finish() {
  std::string piece = text_.Finish();
  all_ += piece;
  finished_ = true;
  return piece;
}

// Number of tokens of the final text: those that end within it, or at the answer's end those that
// begin before its end.
size_t ChoiceText::CountWithin(bool at_end) const {
  size_t count = 0;
  for (const TextToken& token : tokens_) {
    const size_t end = token.begin + token.text.size();
    const bool within = end <= all_.size();
    const bool begun = token.begin < all_.size() || (token.text.empty() && within);
    if (!(at_end ? begun : within)) break;
    ++count;
  }
  return count;
}

std::vector<TextToken> ChoiceText::Tokens() const {
  const auto end = tokens_.begin() + static_cast<std::ptrdiff_t>(CountWithin(true));
  return {tokens_.begin(), end};
}

std::vector<TextToken> ChoiceText::NewTokens() {
  const size_t end = CountWithin(finished_);
  std::vector<TextToken> tokens(tokens_.begin() + static_cast<std::ptrdiff_t>(returned_),
                                tokens_.begin() + static_cast<std::ptrdiff_t>(end));
  returned_ = end;
  return tokens;
}

}  // namespace lorikeet
