#include "chat/chat_format.h"

#include <algorithm>
#include <utility>

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

}  // namespace

std::optional<ChatTemplate> ChooseChatTemplate(const TokenizerBundle& bundle,
                                               const std::string& choice) {
  std::string source = bundle.chat_template, where = "the tokenizer's chat template";
  if (choice == "chatml") {
    source = ChatMlTemplate(bundle);
    where = "the built-in chatml template";
  } else if (choice == "plain") {
    source = kPlainTemplate;
    where = "the built-in plain template";
  } else if (!choice.empty()) {
    source = ReadFile(choice);
    where = choice;
  }
  if (source.empty() && choice.empty()) return std::nullopt;
  return ChatTemplate(std::move(source), std::move(where), bundle.bos_token, bundle.eos_token);
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
