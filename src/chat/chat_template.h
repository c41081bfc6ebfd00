// A `ChatTemplate` renders messages to the text format that a model was trained on. It runs the
// Jinja template beside the weights as `transformers` does (same bytes), or throws an Error that
// names the construct and the line.
#pragma once
#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "chat/message.h"
#include "core/json.h"

namespace lorikeet {

struct RenderOptions {
  bool add_generation_prompt = false;
  OrderedJson tools;      // list of JSON schemas; null if none
  OrderedJson variables;  // further variables of the template, e.g. enable_thinking; object or null
  std::string date;       // for strftime_now: YYYY-MM-DD, optionally " HH:MM:SS"; empty = today
};

struct ByteSpan {
  size_t begin = 0;
  size_t end = 0;  // one past the last
};

struct RenderedChat {
  std::string text;
  // Contents of the {% generation %} blocks, in order: the words of the assistant. Empty when the
  // template has no such blocks.
  std::vector<ByteSpan> generation;
};

class ChatTemplate {
 public:
  // `where` names the template in errors ("model/tokenizer_config.json: chat_template").
  // `special_tokens`: further names the template may read (unk_token, pad_token, ...).
  // Throws Error for a template that cannot be parsed.
  ChatTemplate(const std::string& source, std::string where, std::string bos_token,
               std::string eos_token, std::map<std::string, std::string> special_tokens = {});
  ~ChatTemplate();
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;

  // The template marks the assistant's words itself ({% generation %}).
  bool HasGenerationBlocks() const;
  const std::string& source() const { return source_; }

  // Both const and safe to call from several threads. Throw Error for what the template refuses
  // (raise_exception) and for what it does wrong.
  std::string Render(std::span<const Message> messages, const RenderOptions& options = {}) const;
  RenderedChat RenderWithSpans(std::span<const Message> messages,
                               const RenderOptions& options = {}) const;

 private:
  struct Parsed;
  std::string source_;
  std::string where_;
  std::map<std::string, std::string> special_tokens_;
  std::unique_ptr<const Parsed> parsed_;
};

}  // namespace lorikeet
