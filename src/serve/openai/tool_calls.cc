#include "serve/openai/tool_calls.h"

#include <algorithm>
#include <utility>

namespace lorikeet {
namespace {

constexpr std::string_view kHermesBegin = "<tool_call>", kHermesEnd = "</tool_call>";
constexpr std::string_view kGemmaBegin = "<start_function_call>", kGemmaEnd = "<end_function_call>",
                           kEscape = "<escape>";
constexpr std::string_view kPythonTag = "<|python_tag|>";

std::string_view Trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

// {"name": ..., KEY: {...}}, and nothing else of weight.
std::optional<ToolCall> CallOfJson(std::string_view text, const char* key) {
  const OrderedJson json = OrderedJson::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("name") || !json["name"].is_string()) return std::nullopt;
  const auto arguments = json.find(key);
  if (arguments == json.end() || !arguments->is_object()) return std::nullopt;
  return ToolCall{json["name"].get<std::string>(), arguments->dump()};
}

// Calls between marks, in any text.
template <class ReadCall>
ParsedAnswer BetweenMarks(std::string_view text, std::string_view begin, std::string_view end,
                          const ReadCall& read) {
  ParsedAnswer answer;
  std::string_view left = text;
  while (true) {
    const size_t at = left.find(begin);
    if (at == std::string_view::npos) break;
    answer.content += left.substr(0, at);
    left.remove_prefix(at + begin.size());
    const size_t close = std::min(left.find(end), left.size());
    std::optional<ToolCall> call = read(Trimmed(left.substr(0, close)));
    if (!call) return {std::string(text), {}};
    answer.calls.push_back(*std::move(call));
    left.remove_prefix(std::min(close + end.size(), left.size()));
  }
  answer.content += left;
  if (!answer.calls.empty()) answer.content = std::string(Trimmed(answer.content));
  return answer;
}

// A value of FunctionGemma's notation: <escape>text<escape>, {key:value,...}, [value,...], or a
// number, true, false or null as in JSON.
class GemmaReader {
 public:
  explicit GemmaReader(std::string_view text) : text_(text) {}

  bool Object(OrderedJson* out, int depth = 0) {
    *out = OrderedJson::object();
    if (depth > 50 || !Take("{")) return false;
    if (Take("}")) return true;
    do {
      const size_t colon = text_.find(':');
      if (colon == std::string_view::npos || colon == 0) return false;
      const std::string key(Trimmed(text_.substr(0, colon)));
      text_.remove_prefix(colon + 1);
      if (!Value(&(*out)[key], depth + 1)) return false;
    } while (Take(","));
    return Take("}");
  }
  bool done() const { return text_.empty(); }

 private:
  bool Take(std::string_view word) {
    if (!text_.starts_with(word)) return false;
    text_.remove_prefix(word.size());
    return true;
  }
  bool Value(OrderedJson* out, int depth) {
    if (Take(kEscape)) {
      const size_t end = text_.find(kEscape);
      if (end == std::string_view::npos) return false;
      *out = std::string(text_.substr(0, end));
      text_.remove_prefix(end + kEscape.size());
      return true;
    }
    if (text_.starts_with("{")) return Object(out, depth);
    if (Take("[")) return List(out, depth);
    const size_t end = std::min(text_.find_first_of(",}]"), text_.size());
    *out = OrderedJson::parse(text_.substr(0, end), nullptr, false);
    text_.remove_prefix(end);
    return !out->is_discarded();
  }
  bool List(OrderedJson* out, int depth) {
    *out = OrderedJson::array();
    if (depth > 50) return false;
    if (Take("]")) return true;
    do {
      out->emplace_back();
      if (!Value(&out->back(), depth + 1)) return false;
    } while (Take(","));
    return Take("]");
  }

  std::string_view text_;
};

std::optional<ToolCall> CallOfGemma(std::string_view text) {
  constexpr std::string_view kCall = "call:";
  const size_t brace = text.find('{');
  if (!text.starts_with(kCall) || brace == std::string_view::npos) return std::nullopt;
  OrderedJson arguments;
  GemmaReader reader(text.substr(brace));
  if (!reader.Object(&arguments) || !reader.done()) return std::nullopt;
  return ToolCall{std::string(text.substr(kCall.size(), brace - kCall.size())), arguments.dump()};
}

ParsedAnswer ParseLlama3(std::string_view text) {
  std::string_view body = Trimmed(text);
  if (body.starts_with(kPythonTag)) body.remove_prefix(kPythonTag.size());
  if (auto call = CallOfJson(Trimmed(body), "parameters")) return {"", {*std::move(call)}};
  return {std::string(text), {}};
}

// Bytes before a mark, or before what may become one at the end.
size_t BeforeMark(std::string_view text, std::string_view mark) {
  if (const size_t at = text.find(mark); at != std::string_view::npos) return at;
  for (size_t n = std::min(text.size(), mark.size() - 1); n > 0; --n) {
    if (text.ends_with(mark.substr(0, n))) return text.size() - n;
  }
  return text.size();
}

}  // namespace

ToolForm ToolFormOf(const ChatTemplate& chat_template, const OrderedJson& tools) {
  const ChatTemplate& used = chat_template.For(tools);
  if (!used.Mentions("tools")) return ToolForm::kNone;
  const std::string& source = used.source();
  const auto has = [&](std::string_view word) { return source.find(word) != std::string::npos; };
  if (has("<start_function_call>")) return ToolForm::kFunctionGemma;
  // Qwen3-Coder has the same mark around calls in XML.
  if (has("<tool_call>") && has("arguments") && !has("<function=")) return ToolForm::kHermes;
  if (has("<|start_header_id|>") && has("\"parameters\"")) return ToolForm::kLlama3;
  return ToolForm::kUnknown;
}

const char* ToolFormName(ToolForm form) {
  switch (form) {
    case ToolForm::kNone:
      return "none";
    case ToolForm::kUnknown:
      return "unknown";
    case ToolForm::kHermes:
      return "hermes";
    case ToolForm::kLlama3:
      return "llama3";
    case ToolForm::kFunctionGemma:
      return "functiongemma";
  }
  return "";
}

ParsedAnswer ParseToolCalls(ToolForm form, std::string_view text) {
  switch (form) {
    case ToolForm::kHermes:
      return BetweenMarks(text, kHermesBegin, kHermesEnd,
                          [](std::string_view call) { return CallOfJson(call, "arguments"); });
    case ToolForm::kFunctionGemma:
      return BetweenMarks(text, kGemmaBegin, kGemmaEnd, CallOfGemma);
    case ToolForm::kLlama3:
      return ParseLlama3(text);
    case ToolForm::kNone:
    case ToolForm::kUnknown:
      break;
  }
  return {std::string(text), {}};
}

size_t ContentBytes(ToolForm form, std::string_view text) {
  switch (form) {
    case ToolForm::kHermes:
      return BeforeMark(text, kHermesBegin);
    case ToolForm::kFunctionGemma:
      return BeforeMark(text, kGemmaBegin);
    case ToolForm::kLlama3: {
      // A call is the whole answer.
      const size_t first = text.find_first_not_of(" \t\r\n");
      const bool call = first == std::string_view::npos || text[first] == '{' ||
                        kPythonTag.starts_with(text.substr(first, kPythonTag.size()));
      return call ? 0 : text.size();
    }
    case ToolForm::kNone:
    case ToolForm::kUnknown:
      break;
  }
  return text.size();
}

std::optional<CallFrame> FrameOf(ToolForm form, const std::string& name) {
  const std::string quoted = OrderedJson(name).dump();
  if (form == ToolForm::kHermes) {
    return CallFrame{"<tool_call>\n{\"name\": " + quoted + ", \"arguments\": ", "}\n</tool_call>"};
  }
  if (form == ToolForm::kLlama3) {
    return CallFrame{"{\"name\": " + quoted + ", \"parameters\": ", "}"};
  }
  return std::nullopt;
}

}  // namespace lorikeet
