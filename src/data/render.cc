#include "data/render.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/error.h"
#include "core/file.h"

namespace lorikeet {
namespace {

std::string_view Trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

size_t CommonPrefix(std::string_view a, std::string_view b) {
  const auto [in_a, in_b] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  return static_cast<size_t>(in_a - a.begin());
}

// The common format for base models without a chat template.
Rendering RenderAlpacaPlainly(const Record& record, TrainOn train_on) {
  Rendering rendering;
  for (const Message& message : record.messages) {
    if (message.role == "system") rendering.text += message.content + "\n\n";
    if (message.role == "user") {
      rendering.text += "### Instruction:\n" + message.content + "\n\n### Response:\n";
    }
  }
  const size_t begin = train_on == TrainOn::kAll ? 0 : rendering.text.size();
  rendering.text += record.messages.back().content;
  rendering.trained = {{begin, rendering.text.size()}};
  rendering.append_eos = true;
  return rendering;
}

bool IsTrainable(const Message& message) {
  if (message.role != "assistant") return false;
  const auto weight = message.fields.find("weight");
  return weight == message.fields.end() || weight->is_null() || *weight != 0;
}

}  // namespace

MarkedTokens Mark(const Rendering& rendering, const TokenizerBundle& bundle) {
  Encoding encoding = bundle.tokenizer.EncodeWithOffsets(rendering.text);
  MarkedTokens marked;
  if (NeedsBos(bundle, rendering.text)) {
    marked.ids = bundle.leading_ids;
    marked.weights.assign(marked.ids.size(), 0);
  }
  auto span = rendering.trained.begin();
  for (size_t i = 0; i < encoding.ids.size(); ++i) {
    const size_t begin = encoding.begin[i], end = encoding.end[i];
    while (span != rendering.trained.end() && span->end <= begin) ++span;
    const bool inside = span != rendering.trained.end() && begin >= span->begin;
    if (span != rendering.trained.end() && begin < span->begin && end > span->begin) {
      ++marked.straddling;
    }
    marked.ids.push_back(encoding.ids[i]);
    marked.weights.push_back(inside ? 1.0F : 0.0F);
  }
  if (rendering.append_eos && bundle.eos_id >= 0 &&
      (bundle.eos_token.empty() || !rendering.text.ends_with(bundle.eos_token))) {
    marked.ids.push_back(bundle.eos_id);
    marked.weights.push_back(1);
  }
  return marked;
}

Renderer::Renderer(const TokenizerBundle& bundle, const RenderConfig& config)
    : bundle_(bundle),
      config_(config),
      template_(ChooseChatTemplate(bundle, config.chat_template)) {
  FindEndTexts();
  if (template_) FindGenerationPrompt();
}

void Renderer::FindEndTexts() {
  // Known names of end-of-turn tokens, for tokenizers whose files list only the end of text.
  constexpr std::array<std::string_view, 9> kKnown = {
      "<|im_end|>",    "<|eot_id|>", "<|eom_id|>", "<|end|>",
      "<end_of_turn>", "<turn|>",    "<|eot|>",    "<|END_OF_TURN_TOKEN|>",
      "</s>"};
  const Tokenizer& tokenizer = bundle_.tokenizer;
  for (const int32_t id : bundle_.eos_ids) end_texts_.emplace_back(tokenizer.IdToToken(id));
  end_texts_.push_back(bundle_.eos_token);
  for (const std::string_view name : kKnown) {
    if (tokenizer.TokenToId(name)) end_texts_.emplace_back(name);
  }
  std::erase(end_texts_, "");
  const auto vocab = static_cast<int32_t>(tokenizer.VocabSize());
  for (int32_t id = 0; id < vocab; ++id) {
    if (tokenizer.IsSpecial(id)) special_texts_.emplace_back(tokenizer.IdToToken(id));
  }
  std::erase(special_texts_, "");
}

void Renderer::FindGenerationPrompt() {
  RenderOptions options;
  options.variables = config_.template_variables;
  options.date = config_.date;
  Message question;
  question.role = "user";
  question.content = "?";
  question.fields = OrderedJson::object();
  try {
    const std::string bare = template_->Render({&question, 1}, options);
    options.add_generation_prompt = true;
    const std::string prompt = template_->Render({&question, 1}, options);
    if (prompt.starts_with(bare)) generation_prompt_ = prompt.substr(bare.size());
  } catch (const Error&) {  // a template that wants more than a question; its rows will say so
  }
}

RenderOptions Renderer::OptionsFor(const Record& record) const {
  RenderOptions options;
  options.tools = record.tools;
  options.variables = MergedVariables(config_.template_variables, record.template_variables);
  options.date = config_.date;
  return options;
}

Renderer::Result Renderer::Render(const Record& record) const {
  if (!record.messages.empty()) {
    if (!template_ && record.format == Format::kAlpaca) {
      return {{RenderAlpacaPlainly(record, config_.train_on)}};
    }
    return RenderMessages(record);
  }
  Rendering rendering;
  rendering.text = record.format == Format::kText ? record.text : record.prompt + record.completion;
  if (rendering.text.empty()) return {};
  rendering.trained = {
      {config_.train_on == TrainOn::kAll ? 0 : record.prompt.size(), rendering.text.size()}};
  rendering.append_eos = true;
  return {{std::move(rendering)}};
}

Renderer::Result Renderer::RenderMessages(const Record& record) const {
  if (!template_) {
    Fail(ErrorCode::kInvalidArgument,
         "the tokenizer has no chat template for \"{}\" data; give --chat-template "
         "FILE, chatml or plain (for base models), or write the rows as \"prompt\"/\"completion\" "
         "or \"text\"",
         FormatName(record.format));
  }
  const std::span<const Message> messages(record.messages);
  const RenderOptions options = OptionsFor(record);
  Result result;
  if (config_.train_on == TrainOn::kAll) {
    Rendering all{template_->Render(messages, options), {}, false};
    all.trained = {{0, all.text.size()}};
    result.renderings.push_back(std::move(all));
    return result;
  }
  // From the last turn to the first: each is added to the latest rendering that contains it
  // unedited, or starts its own.
  std::vector<Rendering>& renderings = result.renderings;
  for (size_t n = messages.size(); n > static_cast<size_t>(record.first_trainable); --n) {
    if (!IsTrainable(messages[n - 1])) continue;
    Turn turn = FindTurn(messages.first(n), options);
    if (turn.reworded) result.reworded_message = turn.message;
    const std::string_view until_its_end = std::string_view(turn.text).substr(0, turn.span.end);
    auto holder = std::find_if(
        renderings.begin(), renderings.end(),
        [&](const Rendering& rendering) { return rendering.text.starts_with(until_its_end); });
    if (holder != renderings.begin()) result.edited_message = turn.message;
    if (holder == renderings.end()) {
      holder = renderings.insert(holder, {std::move(turn.text), {}, false});
    }
    holder->trained.push_back(turn.span);
    if (config_.train_on == TrainOn::kLast) break;
  }
  std::reverse(renderings.begin(), renderings.end());
  for (Rendering& rendering : renderings) {
    std::reverse(rendering.trained.begin(), rendering.trained.end());
  }
  return result;
}

Renderer::Turn Renderer::FindTurn(std::span<const Message> messages,
                                  const RenderOptions& options) const {
  Turn turn;
  turn.message = static_cast<int64_t>(messages.size()) - 1;
  turn.text = template_->Render(messages, options);
  turn.span.begin = TurnBegin(messages, options, turn.text);
  turn.span.end = TurnEnd(turn.text, turn.span.begin, messages.back().content);
  const std::string_view written =
      std::string_view(turn.text).substr(turn.span.begin, turn.span.end - turn.span.begin);
  turn.reworded = written.find(Trim(messages.back().content)) == std::string_view::npos;
  return turn;
}

// Offset in `text`, the rendering of `messages`, at which the model would have begun to write the
// last message: after the rendering of the messages before it with the generation prompt. For
// templates that deviate from this rule the following is tried in order.
size_t Renderer::TurnBegin(std::span<const Message> messages, const RenderOptions& options,
                           std::string_view text) const {
  const auto render_before = [&](bool add_generation_prompt) -> std::optional<std::string> {
    RenderOptions before = options;
    before.add_generation_prompt = add_generation_prompt;
    try {
      return template_->Render(messages.first(messages.size() - 1), before);
    } catch (const Error&) {  // e.g. a template that demands a user's message first
      return std::nullopt;
    }
  };
  const std::optional<std::string> prompt = render_before(true);
  if (prompt && text.starts_with(*prompt)) return prompt->size();

  // The generation prompt has more text than the finished turn ("<think>\n"): where they diverge.
  const std::string_view content = Trim(messages.back().content);
  const std::optional<std::string> bare = render_before(false);
  if (prompt && bare && messages.size() > 1 && text.starts_with(*bare)) {
    const size_t common = CommonPrefix(*prompt, text);
    const size_t content_at =
        content.empty() ? std::string_view::npos : text.find(content, bare->size());
    return std::min({common, content_at, text.size()});
  }
  // The messages before it cannot be rendered alone: searches its opening, else its words.
  size_t at = generation_prompt_.empty() ? std::string_view::npos : text.rfind(generation_prompt_);
  if (at != std::string_view::npos) return at + generation_prompt_.size();
  at = content.empty() ? std::string_view::npos : text.rfind(content);
  if (at != std::string_view::npos) return at;
  Fail(ErrorCode::kInvalidArgument,
       "message {}: the chat template's text does not show where this turn begins; give another "
       "--chat-template",
       messages.size());
}

// The turn ends with the first end token after its words; text of the template after it (a line
// break, the end of the whole text) is not written by the model.
size_t Renderer::TurnEnd(std::string_view text, size_t begin, std::string_view content) const {
  const std::string_view words = Trim(content);
  const size_t at = words.empty() ? std::string_view::npos : text.find(words, begin);
  const size_t after_words = at == std::string_view::npos ? begin : at + words.size();
  size_t first = std::string_view::npos, end = text.size();
  for (const std::string& token : end_texts_) {
    const size_t found = text.find(token, after_words);
    if (found < first) {
      first = found;
      end = found + token.size();
    }
  }
  if (first != std::string_view::npos) return end;
  size_t last = 0;
  for (const std::string& token : special_texts_) {
    const size_t found = text.rfind(token);
    if (found != std::string_view::npos && found >= after_words) {
      last = std::max(last, found + token.size());
    }
  }
  return last > 0 ? last : text.size();
}

}  // namespace lorikeet
