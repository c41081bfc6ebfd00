// A `ChatTemplate` renders messages to the text format that a model was trained on. It runs the
// Jinja template beside the weights as `transformers` does (same bytes), or throws an Error that
// names the construct and the line.
#pragma once
#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chat/message.h"
#include "chat/message_style.h"
#include "core/json.h"

namespace lorikeet {

struct RenderOptions {
  bool add_generation_prompt = false;
  OrderedJson tools;      // list of JSON schemas; null if none
  OrderedJson variables;  // further variables of the template, e.g. enable_thinking; object or null
  std::string date;       // for strftime_now: YYYY-MM-DD, optionally " HH:MM:SS"; empty = today
  // Whether messages are given in the form that the template reads (chat/message_style.h). false:
  // exactly as they are.
  bool in_style = true;
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

  // Uses another template for conversations with tools, as `transformers` does with the one called
  // "tool_use".
  void SetForTools(ChatTemplate chat_template);
  // The template that conversations with these tools (null if none) are rendered by.
  const ChatTemplate& For(const OrderedJson& tools) const;

  // The template marks the assistant's words itself ({% generation %}).
  bool HasGenerationBlocks() const;
  // Whether `word` occurs in the source as a whole word: a name that does not is never read.
  bool Mentions(std::string_view word) const;
  const std::string& source() const { return source_; }

  // Both const and safe to call from several threads. Throw Error for what the template refuses
  // (raise_exception) and for what it does wrong.
  std::string Render(std::span<const Message> messages, const RenderOptions& options = {}) const;
  RenderedChat RenderWithSpans(std::span<const Message> messages,
                               const RenderOptions& options = {}) const;

 private:
  struct Parsed;
  const MessageStyle& Style() const;
  RenderedChat RenderAsGiven(std::span<const Message> messages, const RenderOptions& options,
                             int64_t max_steps) const;

  std::string source_;
  std::string where_;
  std::map<std::string, std::string> special_tokens_;
  std::unique_ptr<const Parsed> parsed_;
  struct LazyStyle;
  std::unique_ptr<LazyStyle> style_;
  std::unique_ptr<const ChatTemplate> for_tools_;  // null: the same template
};

// Text of JSON as Python's json.dumps(ensure_ascii=False) writes it: with ", " and ": ".
std::string PythonJson(const OrderedJson& json);

}  // namespace lorikeet
