#include "chat/chat_format.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "core/error.h"
#include "core/file.h"

namespace lorikeet {
namespace {

std::string ChatMlTemplate(const TokenizerBundle& bundle) {
  const bool knows_end = bundle.tokenizer.TokenToId("<|im_end|>").has_value();
  const std::string end = knows_end || bundle.eos_token.empty() ? "'<|im_end|>'" : "eos_token";
  return "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + "
         "message['content'] + " +
         end +
         " + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% "
         "endif %}";
}

constexpr const char* kPlainTemplate =
    "{% for message in messages %}"
    "{% if message['role'] in ['system', 'developer'] %}{{ message['content'] + '\\n\\n' }}"
    "{% elif message['role'] == 'user' %}{{ 'Question: ' + message['content'] + '\\n' }}"
    "{% elif message['role'] == 'assistant' %}{{ 'Answer: ' + message['content'] }}"
    "{{ eos_token if loop.last else '\\n\\n' }}"
    "{% else %}{{ raise_exception('the plain template has system, user and assistant messages, and "
    "none of role ' + message['role']) }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'Answer:' }}{% endif %}";

std::string TemplateNames(const TokenizerBundle& bundle) {
  std::string names = bundle.chat_template.empty() ? "" : "default";
  for (const auto& [name, source] : bundle.named_templates) {
    names += (names.empty() ? "" : ", ") + name;
  }
  return names;
}

// For a model with several templates and none for conversations without tools.
std::string RefusingTemplate(const TokenizerBundle& bundle) {
  const std::string what = "the model has several chat templates (" + TemplateNames(bundle) +
                           ") and none is called default; name the one to use with --chat-template";
  return "{{ raise_exception(" + OrderedJson(what).dump() + ") }}";
}

}  // namespace

std::optional<ChatTemplate> ChooseChatTemplate(const TokenizerBundle& bundle,
                                               const std::string& choice) {
  const auto make = [&](std::string source, std::string where) {
    return ChatTemplate(source, std::move(where), bundle.bos_token, bundle.eos_token,
                        {{"pad_token", bundle.pad_token}, {"unk_token", bundle.unk_token}});
  };
  const std::string own = "the tokenizer's chat template";
  if (choice == "chatml") return make(ChatMlTemplate(bundle), "the built-in chatml template");
  if (choice == "plain") return make(kPlainTemplate, "the built-in plain template");
  const auto& named = bundle.named_templates;
  if (const auto found = named.find(choice); found != named.end()) {
    return make(found->second, own + " " + choice);
  }
  if (choice == "default" && !bundle.chat_template.empty()) return make(bundle.chat_template, own);
  if (!choice.empty()) {
    if (!named.empty() && !std::filesystem::exists(choice)) {
      Fail(ErrorCode::kNotFound,
           "{}: is no file and none of the model's chat templates, which are {}", choice,
           TemplateNames(bundle));
    }
    return make(ReadFile(choice), choice);
  }
  if (bundle.chat_template.empty() && named.empty()) return std::nullopt;
  ChatTemplate chosen =
      make(bundle.chat_template.empty() ? RefusingTemplate(bundle) : bundle.chat_template, own);
  if (const auto tools = named.find("tool_use"); tools != named.end()) {
    chosen.SetForTools(make(tools->second, own + " tool_use"));
  }
  return chosen;
}

OrderedJson MergedVariables(OrderedJson variables, const OrderedJson& own) {
  if (!own.is_object()) return variables;
  if (!variables.is_object()) variables = OrderedJson::object();
  variables.update(own);
  return variables;
}

void AddStopStrings(const ChatTemplate& chat_template, std::vector<std::string>* stop_strings) {
  if (chat_template.source() != kPlainTemplate) return;
  const std::string next_question = "\nQuestion:";
  if (std::find(stop_strings->begin(), stop_strings->end(), next_question) == stop_strings->end()) {
    stop_strings->push_back(next_question);
  }
}

bool NeedsBos(const TokenizerBundle& bundle, std::string_view text) {
  if (bundle.leading_ids.empty()) return false;
  const std::string first = bundle.tokenizer.IdToToken(bundle.leading_ids.front());
  return first.empty() || !text.starts_with(first);
}

void PutBos(const TokenizerBundle& bundle, std::string_view text, std::vector<int32_t>* ids) {
  if (!NeedsBos(bundle, text)) return;
  ids->insert(ids->begin(), bundle.leading_ids.begin(), bundle.leading_ids.end());
}

}  // namespace lorikeet
