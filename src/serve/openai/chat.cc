#include "serve/openai/chat.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "serve/api_error.h"
#include "serve/constraint.h"
#include "serve/openai/chat_format.h"
#include "serve/openai/completions.h"
#include "serve/openai/tool_calls.h"
#include "serve/request_fields.h"
#include "serve/sampling_fields.h"

namespace lorikeet {
namespace {

void CheckParts(const OrderedJson& content, const std::string& where) {
  for (const OrderedJson& part : content) {
    const bool text = part.is_object() && part.contains("text") && part["text"].is_string() &&
                      part.value("type", "text") == "text";
    if (text) continue;
    const std::string type = part.is_object() && part.contains("type") && part["type"].is_string()
                                 ? part["type"].get<std::string>()
                                 : part.type_name();
    Refuse(400, where + ".content", "{}.content: parts of type '{}' are not supported, only text",
           where, type);
  }
}

Message ReadMessage(OrderedJson json, const std::string& where) {
  if (!json.is_object() || !json.contains("role") || !json["role"].is_string()) {
    Refuse(400, where, "{} must be an object with a role", where);
  }
  const auto role = json["role"].get<std::string>();
  if (role == "developer") json["role"] = "system";
  static constexpr std::string_view kRoles[] = {"system",    "developer", "user",
                                                "assistant", "tool",      "function"};
  if (std::find(std::begin(kRoles), std::end(kRoles), role) == std::end(kRoles)) {
    Refuse(400, where + ".role",
           "{}.role: '{}' is not one of system, developer, user, assistant, tool", where, role);
  }
  const auto content = json.find("content");
  if (content != json.end()) {
    if (content->is_array()) CheckParts(*content, where);
    if (!content->is_string() && !content->is_array() && !content->is_null()) {
      Refuse(400, where + ".content", "{}.content must be a string or a list of parts", where);
    }
  }
  return MessageFromJson(json);
}

// What the fields about tools ask for.
struct ToolRequest {
  OrderedJson tools;  // null: none are shown to the model
  ToolForm form = ToolForm::kNone;
  std::vector<std::string> forced;  // one of these functions must be called; empty: none
};

const OrderedJson& FunctionOfTool(const OrderedJson& tool, size_t i) {
  const std::string where = fmt::format("tools[{}]", i);
  if (!tool.is_object() || tool.value("type", "") != "function" || !tool.contains("function") ||
      !tool["function"].is_object() || !tool["function"].contains("name") ||
      !tool["function"]["name"].is_string()) {
    Refuse(400, where, R"({} must be {{"type": "function", "function": {{"name", ...}}}})", where);
  }
  return tool["function"];
}

std::vector<std::string> NamesOf(const OrderedJson& tools) {
  std::vector<std::string> names;
  for (size_t i = 0; i < tools.size(); ++i) {
    names.push_back(FunctionOfTool(tools[i], i)["name"].get<std::string>());
  }
  return names;
}

std::vector<std::string> ForcedBy(const OrderedJson& choice,
                                  const std::vector<std::string>& names) {
  if (choice.is_null() || choice == "auto" || choice == "none") return {};
  if (choice == "required") return names;
  if (choice.is_object() && choice.value("type", "") == "function" && choice.contains("function") &&
      choice["function"].is_object()) {
    const std::string name = choice["function"].value("name", "");
    if (std::find(names.begin(), names.end(), name) != names.end()) return {name};
    Refuse(400, "tool_choice", "tool_choice: there is no function '{}' among the tools", name);
  }
  Refuse(400, "tool_choice", "tool_choice must be auto, none, required, or a function: {}",
         choice.dump());
}

ToolRequest ReadTools(RequestFields& fields, const ModelText& text) {
  ToolRequest request;
  const OrderedJson tools = fields.Value("tools");
  const OrderedJson choice = fields.Value("tool_choice");
  fields.Bool("parallel_tool_calls");  // the model decides
  if (!tools.is_null() && !tools.is_array()) Refuse(400, "tools", "tools must be a list");
  const std::vector<std::string> names = NamesOf(tools);
  request.forced = ForcedBy(choice, names);
  if (names.empty() || choice == "none") {
    if (choice == "required") Refuse(400, "tool_choice", "tool_choice: there are no tools");
    return request;
  }
  request.tools = tools;
  request.form = ToolFormOf(text.Template(), tools);
  if (request.form == ToolForm::kNone) {
    Refuse(400, "tools", "the model's chat template has no place for tools");
  }
  if (request.form == ToolForm::kUnknown) {
    Refuse(400, "tools",
           "calls in the form of this model's chat template are not parsed here (supported: "
           "Hermes and Qwen, Llama 3, FunctionGemma)");
  }
  return request;
}

// The function's schema of arguments; of any object if it has none.
GrammarPart ArgumentsOf(const OrderedJson& tools, const std::string& name) {
  for (const OrderedJson& tool : tools) {
    const OrderedJson& function = tool["function"];
    if (function["name"] != name) continue;
    const auto parameters = function.find("parameters");
    if (parameters == function.end() || parameters->is_null()) break;
    return JsonSchema(*parameters);
  }
  return JsonObject();
}

std::optional<GrammarPart> ForcedCall(const ToolRequest& request) {
  if (request.forced.empty()) return std::nullopt;
  std::vector<GrammarPart> calls;
  for (const std::string& name : request.forced) {
    const std::optional<CallFrame> frame = FrameOf(request.form, name);
    if (!frame) {
      Refuse(400, "tool_choice", "calls of the form {} cannot be forced; use tool_choice auto",
             ToolFormName(request.form));
    }
    calls.push_back(Sequence(
        {Literal(frame->before), ArgumentsOf(request.tools, name), Literal(frame->after)}));
  }
  return Choice(std::move(calls));
}

std::optional<GrammarPart> ReadResponseFormat(RequestFields& fields) {
  const OrderedJson& value = fields.Value("response_format");
  if (value.is_null()) return std::nullopt;
  RequestFields format(value, "response_format");
  const std::string type = format.NeedString("type");
  if (type == "text") return std::nullopt;
  if (type == "json_object") return JsonObject();
  if (type != "json_schema") {
    Refuse(400, "response_format.type",
           "response_format.type: '{}' is not one of text, "
           "json_object, json_schema",
           type);
  }
  const OrderedJson& nested_value = format.Value("json_schema");
  RequestFields nested(nested_value, "response_format.json_schema");
  nested.Ignore({"name", "description", "strict"});
  const OrderedJson& schema = nested.Value("schema");
  nested.RefuseOthers();
  return schema.is_null() ? JsonObject() : JsonSchema(schema);
}

// Remarks that the user should see; two of one text once.
std::vector<std::string> NotesOf(const std::vector<Remark>& remarks) {
  std::vector<std::string> notes;
  for (const Remark& remark : remarks) {
    if (std::find(notes.begin(), notes.end(), remark.text) == notes.end()) {
      notes.push_back(remark.text);
    }
  }
  return notes;
}

// The prompt, with a last message of the assistant left open if the request says so.
std::string RenderPrompt(RequestFields& fields, const ModelText& text,
                         const std::vector<Message>& messages, const OrderedJson& tools,
                         std::vector<std::string>* notes) {
  const OrderedJson variables = fields.Value("chat_template_kwargs");
  if (!variables.is_null() && !variables.is_object()) {
    Refuse(400, "chat_template_kwargs", "chat_template_kwargs must be an object");
  }
  RenderOptions options = text.OptionsFor(tools, variables);
  options.add_generation_prompt = fields.Bool("add_generation_prompt").value_or(true);
  fields.OnlyNeutral({"continue_final_message", "documents", "chat_template"});
  std::string prompt = text.Template().Render(messages, options);
  *notes = NotesOf(text.Check(messages, tools, variables, prompt));
  return prompt;
}

int64_t ReadMaxTokens(RequestFields& fields, int64_t left) {
  const auto older = fields.Int("max_tokens", 1, 1 << 30);
  const auto newer = fields.Int("max_completion_tokens", 1, 1 << 30);
  if (newer) return *newer;
  return older.value_or(std::max<int64_t>(left, 1));
}

}  // namespace

std::vector<Message> ReadMessages(const OrderedJson& list) {
  if (!list.is_array() || list.empty()) {
    Refuse(400, "messages", "messages must be a list of at least one message");
  }
  std::vector<Message> messages;
  for (size_t i = 0; i < list.size(); ++i) {
    messages.push_back(ReadMessage(list[i], fmt::format("messages[{}]", i)));
  }
  return messages;
}

void HandleChat(ServeContext& context, const ServeRequest& request) {
  const OrderedJson json = ParseRequest(request.http.body);
  RequestFields fields(json);
  CallRequest call;
  call.client = request.client;
  call.model = ModelOf(context, fields);
  const ModelText& text = *call.model->text;
  const int64_t vocab_size = context.models.model().config().vocab_size;
  const std::vector<Message> messages = ReadMessages(fields.Value("messages"));
  const ToolRequest tools = ReadTools(fields, text);
  ChatStyle style;
  style.tools = tools.form;
  const std::string prompt = RenderPrompt(fields, text, messages, tools.tools, &style.notes);
  call.prompts = {text.Encode(prompt)};
  call.sampling = ReadSamplingFields(fields, *call.model, vocab_size);
  for (const std::string& stop : text.stop_strings()) call.sampling.stop.push_back(stop);
  style.logprobs = fields.Bool("logprobs").value_or(false);
  style.top_logprobs = fields.Int("top_logprobs", 0, 20).value_or(0);
  if (style.top_logprobs > 0 && !style.logprobs) {
    Refuse(400, "top_logprobs", "top_logprobs is for logprobs: true only");
  }
  const int64_t length = std::ssize(call.prompts[0]);
  call.max_tokens = ReadMaxTokens(fields, context.sampling.limits().capacity - length);
  const std::optional<GrammarPart> format = ReadResponseFormat(fields);
  const std::optional<GrammarPart> forced = ForcedCall(tools);
  fields.Ignore({"reasoning_effort", "verbosity"});
  fields.OnlyNeutral({"functions", "function_call", "modalities", "audio", "prediction",
                      "web_search_options", "echo"});
  fields.RefuseOthers();
  CheckContext(context, length, call.max_tokens);
  if (forced || format) {
    call.make_filter =
        context.constraints.FilterOf(*call.model, vocab_size, forced ? *forced : *format);
  }
  const int64_t prompt_top = call.sampling.prompt_logprobs.value_or(0);
  call.top_logprobs = std::max(style.top_logprobs, prompt_top);
  call.details = style.logprobs || call.sampling.return_token_ids;
  call.keep_special_tokens = tools.form != ToolForm::kNone;
  call.prompt_logprobs = call.sampling.prompt_logprobs.has_value();
  if (call.prompt_logprobs && call.sampling.stream) {
    Refuse(400, "stream", "log-probabilities of the prompt cannot be streamed");
  }
  CallFormat call_format = ChatFormatOf(style, call.model, call.sampling);
  AnswerCall(context, std::move(call), std::move(call_format), request.reply);
}

}  // namespace lorikeet
