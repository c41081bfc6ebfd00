#include "chat/answer_text.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace lorikeet {
namespace {

// Length of the longest suffix of `text` that is a proper prefix of `stop`.
size_t PartialMatch(std::string_view text, std::string_view stop) {
  for (size_t n = std::min(text.size(), stop.size() - 1); n > 0; --n) {
    if (text.ends_with(stop.substr(0, n))) return n;
  }
  return 0;
}

}  // namespace

AnswerText::AnswerText(const Tokenizer& tokenizer, std::vector<std::string> stop_strings,
                       bool skip_special_tokens)
    : decoder_(tokenizer, skip_special_tokens), stop_strings_(std::move(stop_strings)) {
  std::erase(stop_strings_, "");
}

std::string AnswerText::Push(int32_t token) {
  if (stopped_) return "";
  held_ += decoder_.Push(token);
  return Release(false);
}

std::string AnswerText::Finish() {
  if (stopped_) return "";
  held_ += decoder_.Finish();
  return Release(true);
}

std::string AnswerText::Release(bool all) {
  size_t end = std::string::npos, partial = 0;
  for (const std::string& stop : stop_strings_) {
    if (const size_t found = held_.find(stop); found < end) {
      end = found;
      stopped_by_ = stop;
    }
    partial = std::max(partial, PartialMatch(held_, stop));
  }
  stopped_ = end != std::string::npos;
  if (!stopped_) end = held_.size() - (all ? 0 : partial);
  std::string text = held_.substr(0, end);
  held_.erase(0, stopped_ ? held_.size() : end);
  return text;
}

}  // namespace lorikeet
