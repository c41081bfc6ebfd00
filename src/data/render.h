// A `Renderer` renders a record to text and marks the trained parts. The loss mask is determined on
// characters, by the chat template itself, and then mapped to tokens; it is never derived from
// token ids.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chat/bundle.h"
#include "chat/chat_format.h"
#include "chat/chat_template.h"
#include "core/json.h"
#include "data/columns.h"
#include "data/conversation.h"

namespace lorikeet {

enum class TrainOn : uint8_t {
  kAssistant,   // every assistant turn with its end-of-turn token; the completion; the text
  kLast,        // the last assistant turn only
  kGeneration,  // what the chat template marks with {% generation %}
  kAll,         // every token
};
enum class Overlong : uint8_t {
  kTruncate,  // keeps the beginning
  kDrop,
};

struct RenderConfig {
  TrainOn train_on = TrainOn::kAssistant;
  int64_t max_length = 0;  // maximum number of input tokens of an example; 0: no limit
  Overlong overlong = Overlong::kTruncate;
  // "": the tokenizer's own; "chatml", "plain": built-in ones; else a file
  std::string chat_template = {};
  OrderedJson template_variables = {};  // e.g. {"enable_thinking": false}; a row's take precedence
  std::string date = {};   // for templates that print it; fix it to make runs repeatable
  ColumnMap columns = {};  // columns of the file that have other names
};

struct TextSpan {
  size_t begin = 0, end = 0;  // bytes
};

struct Rendering {
  std::string text;
  std::vector<TextSpan> trained;  // ascending
  bool append_eos = false;        // whether a trained EOS follows the text
  // Whether a token is trained that has any byte in a trained span, as `transformers` maps
  // {% generation %} marks to tokens. false: one that begins in it.
  bool any_overlap = false;
};

// Tokens of a rendering and the weight of each as a target, 1 or 0.
struct MarkedTokens {
  std::vector<int32_t> ids;
  std::vector<float> weights;
  int64_t straddling = 0;  // tokens that begin before a span and reach into it: not trained
};
MarkedTokens Mark(const Rendering& rendering, const TokenizerBundle& bundle);

class Renderer {
 public:
  // Throws Error for a template that does not parse. `bundle` must outlive the renderer.
  Renderer(const TokenizerBundle& bundle, const RenderConfig& config);

  struct Result {
    // One, or several if the template edits earlier turns when later ones follow: then each turn is
    // trained in the text that the model would have seen when it wrote it. Empty: nothing to train.
    std::vector<Rendering> renderings;
    std::optional<int64_t> edited_message = {};    // the first such turn, from 0
    std::optional<int64_t> reworded_message = {};  // first trained turn that the template changed
    std::vector<Remark> remarks = {};
    std::vector<std::string> unread_keys = {};  // that the template never reads; "messages.mood"
  };
  // For all formats except kTokens. Throws Error without the place: the caller knows file and line.
  Result Render(const Record& record) const;

 private:
  struct Turn {
    std::string text;  // messages up to and including the turn
    TextSpan span;     // span of the turn, with its end-of-turn token
    int64_t message = 0;
    bool reworded = false;
    bool marks_differ = false;  // {% generation %} marks other text than the span
  };
  Result RenderMessages(const Record& record) const;
  Result RenderAll(const Record& record, const ChatTemplate& chat_template,
                   const RenderOptions& options) const;
  Result RenderMarked(const Record& record, const ChatTemplate& chat_template,
                      const RenderOptions& options) const;
  Result RenderTurns(const Record& record, const ChatTemplate& chat_template,
                     const RenderOptions& options) const;
  Turn FindTurn(const ChatTemplate& chat_template, std::span<const Message> messages,
                const RenderOptions& options) const;
  size_t TurnBegin(const ChatTemplate& chat_template, std::span<const Message> messages,
                   const RenderOptions& options, std::string_view text) const;
  size_t TurnEnd(std::string_view text, size_t begin, std::string_view content) const;
  std::string_view WithoutEnd(std::string_view text) const;
  RenderOptions OptionsFor(const Record& record) const;
  void FindEndTexts();
  std::string GenerationPrompt(const ChatTemplate& chat_template) const;

  const TokenizerBundle& bundle_;
  RenderConfig config_;
  std::optional<ChatTemplate> template_;
  std::vector<std::string> end_texts_;      // tokens that end a turn
  std::vector<std::string> special_texts_;  // all special tokens
};

}  // namespace lorikeet
