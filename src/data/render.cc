#include "data/render.h"

#include <algorithm>
#include <array>
#include <utility>

#include "chat/message_style.h"
#include "core/error.h"
#include "data/row_file.h"
#include "data/written_check.h"

namespace lorikeet {
namespace {

size_t CommonPrefix(std::string_view a, std::string_view b) {
  const auto [in_a, in_b] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  return static_cast<size_t>(in_a - a.begin());
}

// Whether marks of a turn, from the first that reaches into its span, are another text than the
// span. White space around it does not count: many templates mark the line end after a turn.
bool MarksDiffer(std::string_view text, const TextSpan& span, const std::vector<ByteSpan>& marks) {
  std::string marked;
  for (const ByteSpan& mark : marks) {
    if (mark.end > span.begin) marked += text.substr(mark.begin, mark.end - mark.begin);
  }
  return TrimJsonSpace(marked) != TrimJsonSpace(text.substr(span.begin, span.end - span.begin));
}

bool IsTrainable(const Message& message) {
  if (message.role != "assistant") return false;
  const auto weight = message.fields.find("weight");
  return weight == message.fields.end() || weight->is_null() || *weight != 0;
}

// The common format for base models without a chat template. The end token follows the last answer
// of a text, so each answer is an example of its own.
std::vector<Rendering> RenderAlpacaPlainly(const Record& record, TrainOn train_on) {
  std::vector<Rendering> renderings;
  std::string text;
  for (const Message& message : record.messages) {
    if (message.role == "system") text += message.content + "\n\n";
    if (message.role == "user") {
      text += "### Instruction:\n" + message.content + "\n\n### Response:\n";
    }
    if (message.role != "assistant") continue;
    const size_t begin = train_on == TrainOn::kAll ? 0 : text.size();
    text += message.content;
    const bool last = &message == &record.messages.back();
    if (last || (train_on == TrainOn::kAssistant && IsTrainable(message))) {
      renderings.push_back({text, {{begin, text.size()}}, true});
    }
    text += "\n\n";
  }
  return renderings;
}

// Ascending and apart, as Mark needs them; marks may be nested.
std::vector<TextSpan> Merged(std::vector<TextSpan> spans) {
  std::sort(spans.begin(), spans.end(),
            [](const TextSpan& a, const TextSpan& b) { return a.begin < b.begin; });
  std::vector<TextSpan> merged;
  for (const TextSpan& span : spans) {
    if (!merged.empty() && span.begin <= merged.back().end) {
      merged.back().end = std::max(merged.back().end, span.end);
    } else {
      merged.push_back(span);
    }
  }
  return merged;
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
    const bool straddles =
        span != rendering.trained.end() && begin < span->begin && end > span->begin;
    const bool inside = span != rendering.trained.end() &&
                        (begin >= span->begin || (straddles && rendering.any_overlap));
    if (straddles && !inside) ++marked.straddling;
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

// "<|im_start|>assistant\n"; empty where it cannot be told.
std::string Renderer::GenerationPrompt(const ChatTemplate& chat_template) const {
  RenderOptions options;
  options.variables = config_.template_variables;
  options.date = config_.date;
  Message question;
  question.role = "user";
  question.content = "?";
  question.fields = OrderedJson::object();
  try {
    const std::string bare = chat_template.Render({&question, 1}, options);
    options.add_generation_prompt = true;
    const std::string prompt = chat_template.Render({&question, 1}, options);
    if (prompt.starts_with(bare)) return prompt.substr(bare.size());
  } catch (const Error&) {  // a template that wants more than a question; its rows will say so
  }
  return "";
}

RenderOptions Renderer::OptionsFor(const Record& record) const {
  RenderOptions options;
  options.tools = record.tools;
  options.variables = MergedVariables(config_.template_variables, record.template_variables);
  options.date = config_.date;
  return options;
}

Renderer::Result Renderer::Render(const Record& record) const {
  if (!record.messages.empty() && (template_ || record.format != Format::kAlpaca)) {
    return RenderMessages(record);
  }
  if (config_.train_on == TrainOn::kGeneration) {
    Fail(ErrorCode::kInvalidArgument,
         "train_on: generation trains what a chat template marks, and {}; train on assistant, the "
         "completion or the whole text then",
         record.messages.empty() ? "a row of this format has none" : "the tokenizer has none");
  }
  if (!record.messages.empty()) return {RenderAlpacaPlainly(record, config_.train_on)};
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
  const RenderOptions options = OptionsFor(record);
  const ChatTemplate& chat_template = template_->For(options.tools);
  Result result = config_.train_on == TrainOn::kAll ? RenderAll(record, chat_template, options)
                  : config_.train_on == TrainOn::kGeneration
                      ? RenderMarked(record, chat_template, options)
                      : RenderTurns(record, chat_template, options);
  std::vector<bool> is_trained;
  for (size_t i = 0; i < record.messages.size(); ++i) {
    is_trained.push_back(static_cast<int64_t>(i) >= record.first_trainable &&
                         IsTrainable(record.messages[i]));
  }
  result.unread_keys = UnreadKeys(chat_template, record.messages, is_trained, options.variables);
  return result;
}

Renderer::Result Renderer::RenderAll(const Record& record, const ChatTemplate& chat_template,
                                     const RenderOptions& options) const {
  const std::span<const Message> messages(record.messages);
  Result result;
  Rendering all{chat_template.Render(messages, options), {}, false};
  for (size_t n = 1; n <= messages.size(); ++n) {
    if (messages[n - 1].role != "assistant") continue;
    CheckTrainedTurn(chat_template, messages.first(n), options, all.text, &result.remarks);
  }
  CheckContext(chat_template, messages, options, all.text, messages.size(), &result.remarks);
  all.trained = {{0, all.text.size()}};
  result.renderings.push_back(std::move(all));
  return result;
}

// One text for the whole conversation, as `transformers` makes it.
Renderer::Result Renderer::RenderMarked(const Record& record, const ChatTemplate& chat_template,
                                        const RenderOptions& options) const {
  if (!chat_template.HasGenerationBlocks()) {
    Fail(ErrorCode::kInvalidArgument,
         "train_on: generation trains what the chat template marks with {{% generation %}}, and it "
         "has no such marks; give a --chat-template that has them, or train on assistant");
  }
  const std::span<const Message> messages(record.messages);
  RenderedChat rendered = chat_template.RenderWithSpans(messages, options);
  Result result;
  Rendering all{std::move(rendered.text), {}, false, true};
  // The marks of one turn are those that appear with it.
  const auto marks_until = [&](size_t n) {
    return n == 0 ? 0 : chat_template.RenderWithSpans(messages.first(n), options).generation.size();
  };
  std::vector<bool> kept(rendered.generation.size(), true);
  for (size_t n = 1; n <= messages.size(); ++n) {
    const bool wanted = static_cast<int64_t>(n) > record.first_trainable;
    if (messages[n - 1].role != "assistant" || (wanted && IsTrainable(messages[n - 1]))) continue;
    const size_t end = std::min(marks_until(n), kept.size());
    for (size_t i = marks_until(n - 1); i < end; ++i) kept[i] = false;
  }
  for (size_t i = 0; i < kept.size(); ++i) {
    const auto [begin, end] = rendered.generation[i];
    if (kept[i] && end > begin) all.trained.push_back({begin, end});
  }
  all.trained = Merged(std::move(all.trained));
  for (size_t n = 1; n <= messages.size() && !all.trained.empty(); ++n) {
    const bool wanted = static_cast<int64_t>(n) > record.first_trainable;
    if (!wanted || !IsTrainable(messages[n - 1])) continue;
    CheckTrainedTurn(chat_template, messages.first(n), options, all.text, &result.remarks);
  }
  CheckContext(chat_template, messages, options, all.text, messages.size(), &result.remarks);
  if (!all.trained.empty()) result.renderings.push_back(std::move(all));
  return result;
}

// From the last turn to the first: each is added to the latest rendering that contains it unedited,
// or starts its own.
Renderer::Result Renderer::RenderTurns(const Record& record, const ChatTemplate& chat_template,
                                       const RenderOptions& options) const {
  const std::span<const Message> messages(record.messages);
  Result result;
  std::vector<Rendering>& renderings = result.renderings;
  for (size_t n = messages.size(); n > static_cast<size_t>(record.first_trainable); --n) {
    if (!IsTrainable(messages[n - 1])) continue;
    Turn turn = FindTurn(chat_template, messages.first(n), options);
    if (turn.reworded) result.reworded_message = turn.message;
    if (turn.marks_differ) {
      result.remarks.push_back(
          {"the chat template marks other text with {% generation %} than is "
           "trained; --train-on generation follows the marks",
           turn.message});
    }
    const std::string_view until_its_end = std::string_view(turn.text).substr(0, turn.span.end);
    CheckTrainedTurn(chat_template, messages.first(n), options,
                     WithoutEnd(until_its_end.substr(turn.span.begin)), &result.remarks);
    if (renderings.empty()) {
      CheckContext(chat_template, messages.first(n), options, turn.text, n - 1, &result.remarks);
    }
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

Renderer::Turn Renderer::FindTurn(const ChatTemplate& chat_template,
                                  std::span<const Message> messages,
                                  const RenderOptions& options) const {
  Turn turn;
  turn.message = static_cast<int64_t>(messages.size()) - 1;
  RenderedChat rendered = chat_template.RenderWithSpans(messages, options);
  turn.text = std::move(rendered.text);
  const std::string content = TextOf(messages.back());
  turn.span.begin = TurnBegin(chat_template, messages, options, turn.text);
  turn.span.end = TurnEnd(turn.text, turn.span.begin, content);
  const std::string_view written =
      std::string_view(turn.text).substr(turn.span.begin, turn.span.end - turn.span.begin);
  turn.reworded = !HasWords(written, messages.back());
  turn.marks_differ =
      chat_template.HasGenerationBlocks() && MarksDiffer(turn.text, turn.span, rendered.generation);
  return turn;
}

// Offset in `text`, the rendering of `messages`, at which the model would have begun to write the
// last message: after the rendering of the messages before it with the generation prompt. For
// templates that deviate from this rule the following is tried in order.
size_t Renderer::TurnBegin(const ChatTemplate& chat_template, std::span<const Message> messages,
                           const RenderOptions& options, std::string_view text) const {
  const auto render_before = [&](bool add_generation_prompt) -> std::optional<std::string> {
    RenderOptions before = options;
    before.add_generation_prompt = add_generation_prompt;
    try {
      return chat_template.Render(messages.first(messages.size() - 1), before);
    } catch (const Error&) {  // e.g. a template that demands a user's message first
      return std::nullopt;
    }
  };
  const std::optional<std::string> prompt = render_before(true);
  if (prompt && text.starts_with(*prompt)) return prompt->size();

  // The generation prompt has more text than the finished turn ("<think>\n"): where they diverge.
  const std::string whole = TextOf(messages.back());
  const std::string_view content = TrimJsonSpace(whole);
  const std::optional<std::string> bare = render_before(false);
  if (prompt && bare && messages.size() > 1 && text.starts_with(*bare)) {
    const size_t common = CommonPrefix(*prompt, text);
    const size_t content_at =
        content.empty() ? std::string_view::npos : text.find(content, bare->size());
    return std::min({common, content_at, text.size()});
  }
  // The messages before it cannot be rendered alone: searches its opening, else its words.
  const std::string opening = GenerationPrompt(chat_template);
  size_t at = opening.empty() ? std::string_view::npos : text.rfind(opening);
  if (at != std::string_view::npos) return at + opening.size();
  at = content.empty() ? std::string_view::npos : text.rfind(content);
  if (at != std::string_view::npos) return at;
  Fail(ErrorCode::kInvalidArgument,
       "message {}: the chat template's text does not show where this turn begins; give another "
       "--chat-template",
       messages.size());
}

// A turn without the end token that closes it.
std::string_view Renderer::WithoutEnd(std::string_view text) const {
  for (const auto* ends : {&end_texts_, &special_texts_}) {
    for (const std::string& token : *ends) {
      if (text.ends_with(token)) return text.substr(0, text.size() - token.size());
    }
  }
  return text;
}

// The turn ends with the first end token after its words; text of the template after it (a line
// break, the end of the whole text) is not written by the model.
size_t Renderer::TurnEnd(std::string_view text, size_t begin, std::string_view content) const {
  const std::string_view words = TrimJsonSpace(content);
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
