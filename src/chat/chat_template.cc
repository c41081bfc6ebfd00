#include "chat/chat_template.h"

#include <algorithm>
#include <mutex>
#include <optional>
#include <utility>

#include "chat/jinja/renderer.h"
#include "chat/jinja/value.h"
#include "core/error.h"

namespace lorikeet {
namespace {

// Limit for rendering a tiny conversation; real templates take a fiftieth.
constexpr int64_t kProbeSteps = 200'000;

using jinja::Dict;
using jinja::Value;

// `transformers` fills reasoning_content from its older names, and `thinking` for templates that
// read that.
void AliasReasoning(Dict& message, jinja::Budget& budget) {
  for (const char* name : {"reasoning_content", "thinking", "reasoning"}) {
    const Value* found = message.Find(name);
    if (found == nullptr || found->Is(jinja::Kind::kNone)) continue;
    const Value reasoning = *found;
    if (message.Find("thinking") == nullptr) {  // there in front of the message's own keys
      Dict aliased;
      aliased.Append(Value::String("thinking"), reasoning);
      for (const auto& [key, value] : message.entries()) aliased.Append(key, value);
      message = std::move(aliased);
    }
    message.Set(Value::String("reasoning_content"), reasoning, budget);
    return;
  }
}

Value ToValue(const Message& message, jinja::Budget& budget) {
  Dict out;
  out.Append(Value::String("role"), Value::String(message.role));
  const bool has_fields = message.fields.is_object();
  if (message.has_content && (!has_fields || !message.fields.contains("content"))) {
    out.Append(Value::String("content"), Value::String(message.content));
  }
  if (has_fields) {
    for (const auto& [key, value] : message.fields.items()) {
      if (key != "role") out.Append(Value::String(key), Value::FromJson(value));
    }
  }
  AliasReasoning(out, budget);
  return Value::MakeDict(std::move(out));
}

Dict Context(std::span<const Message> messages, const RenderOptions& options,
             const std::map<std::string, std::string>& special_tokens) {
  jinja::Budget budget;
  Dict all;
  for (const auto& [name, token] : special_tokens) {
    if (!token.empty()) all.Append(Value::String(name), Value::String(token));
  }
  std::vector<Value> list;
  for (const Message& message : messages) list.push_back(ToValue(message, budget));
  all.Append(Value::String("messages"), Value::MakeList(std::move(list)));
  all.Append(Value::String("tools"), Value::FromJson(options.tools));
  all.Append(Value::String("documents"), Value::None());
  all.Append(Value::String("add_generation_prompt"), Value::Bool(options.add_generation_prompt));
  if (options.variables.is_object()) {
    for (const auto& [name, value] : options.variables.items()) {
      all.Set(Value::String(name), Value::FromJson(value), budget);
    }
  }
  return all;
}

}  // namespace

Message MessageFromJson(const OrderedJson& json) {
  if (!json.is_object() || !json.contains("role") || !json["role"].is_string()) {
    Fail(ErrorCode::kInvalidArgument,
         "a message must be an object with a \"role\" that is a string");
  }
  Message message;
  message.has_content = json.contains("content");
  for (const auto& [key, value] : json.items()) {
    if (key == "role") {
      message.role = value.get<std::string>();
    } else if (key == "content" && value.is_string()) {
      message.content = value.get<std::string>();
    } else {
      message.fields[key] = value;
    }
  }
  return message;
}

std::string PythonJson(const OrderedJson& json) {
  jinja::Budget budget;
  return jinja::ToJson(Value::FromJson(json), {}, budget);
}

struct ChatTemplate::Parsed {
  jinja::Template tree;
};

// Found at the first rendering.
struct ChatTemplate::LazyStyle {
  std::once_flag once;
  MessageStyle style;
};

ChatTemplate::ChatTemplate(const std::string& source, std::string where, std::string bos_token,
                           std::string eos_token, std::map<std::string, std::string> special_tokens)
    : source_(source),
      where_(std::move(where)),
      special_tokens_(std::move(special_tokens)),
      style_(std::make_unique<LazyStyle>()) {
  special_tokens_["bos_token"] = std::move(bos_token);
  special_tokens_["eos_token"] = std::move(eos_token);
  try {
    parsed_ = std::make_unique<const Parsed>(Parsed{jinja::Parse(source)});
  } catch (const Error& e) {
    Fail(e.code(), "{} {}", where_, e.what());
  }
}

ChatTemplate::~ChatTemplate() = default;
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;

void ChatTemplate::SetForTools(ChatTemplate chat_template) {
  for_tools_ = std::make_unique<const ChatTemplate>(std::move(chat_template));
}

const ChatTemplate& ChatTemplate::For(const OrderedJson& tools) const {
  return for_tools_ != nullptr && !tools.empty() ? *for_tools_ : *this;
}

bool ChatTemplate::HasGenerationBlocks() const { return parsed_->tree.has_generation; }

bool ChatTemplate::Mentions(std::string_view word) const {
  const auto in_word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  for (size_t at = source_.find(word); at != std::string::npos; at = source_.find(word, at + 1)) {
    const size_t end = at + word.size();
    const bool begins = at == 0 || !in_word(source_[at - 1]);
    if (begins && (end == source_.size() || !in_word(source_[end]))) return true;
  }
  return false;
}

const MessageStyle& ChatTemplate::Style() const {
  std::call_once(style_->once, [&] {
    style_->style = FindMessageStyle(
        [&](std::span<const Message> messages,
            const OrderedJson& tools) -> std::optional<std::string> {
          RenderOptions options;
          options.tools = tools;
          try {
            return RenderAsGiven(messages, options, kProbeSteps).text;
          } catch (const Error&) {  // this form is not read
            return std::nullopt;
          }
        },
        source_);
  });
  return style_->style;
}

std::string ChatTemplate::Render(std::span<const Message> messages,
                                 const RenderOptions& options) const {
  return RenderWithSpans(messages, options).text;
}

RenderedChat ChatTemplate::RenderWithSpans(std::span<const Message> messages,
                                           const RenderOptions& options) const {
  if (&For(options.tools) != this) return for_tools_->RenderWithSpans(messages, options);
  try {
    if (!options.in_style) return RenderAsGiven(messages, options, jinja::Budget::kMaxSteps);
    RenderOptions without_empty = options;
    if (options.tools.empty()) without_empty.tools = nullptr;
    return RenderAsGiven(InStyle(messages, Style()), without_empty, jinja::Budget::kMaxSteps);
  } catch (const Error& e) {
    const std::string hint = options.in_style ? BadArguments(messages) : "";
    Fail(e.code(), "{} {}{}{}", where_, e.what(), hint.empty() ? "" : "; ", hint);
  }
}

RenderedChat ChatTemplate::RenderAsGiven(std::span<const Message> messages,
                                         const RenderOptions& options, int64_t max_steps) const {
  const Dict context = Context(messages, options, special_tokens_);
  jinja::Rendered rendered = jinja::Renderer(parsed_->tree, context, options.date, max_steps).Run();
  RenderedChat out;
  out.text = std::move(rendered.text);
  for (const auto& span : rendered.generation) out.generation.push_back({span.begin, span.end});
  return out;
}

}  // namespace lorikeet
