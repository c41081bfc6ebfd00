// lorikeet chat: a conversation, turn by turn. The KV cache keeps the earlier turns.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>

#include "chat/answer_text.h"
#include "cli/commands.h"
#include "cli/line_reader.h"
#include "cli/prompting.h"
#include "core/error.h"
#include "core/signals.h"
#include "options/args.h"
#include "recipes/common_options.h"
#include "sample/generator.h"

namespace lorikeet {
namespace {

struct ChatOptions {
  AnswerOptions answer;
  int64_t context;
  CommonOptions common;

  template <class V>
  void ForEach(V& v) {
    answer.ForEach(v);
    v(context, "context", 8192,
      "Maximum number of tokens of the whole conversation; at most the model's own limit.",
      {.group = "Conversation", .aliases = {"max_length", "ctx_size"}, .min = 2});
    common.ForEach(v);
  }
};

constexpr const char* kSummary =
    "A conversation with a model, one line a turn. Earlier turns stay in the KV cache, so a "
    "turn computes its own tokens only.";

constexpr const char* kCommands =
    "/reset starts over, /system TEXT starts over with another system prompt, /quit leaves;\n"
    "Ctrl-C ends an answer, Ctrl-D leaves. A line that begins with // sends the text after the "
    "first /.\n";

constexpr const char* kEpilog =
    "While it runs: /reset, /system TEXT, /help, /quit; Ctrl-C ends an answer, Ctrl-D leaves.\n"
    "Examples:\n"
    "  lorikeet chat --model model.gguf --temperature 0.7\n"
    "  lorikeet chat --adapter out/run --system 'You are terse.'\n"
    "  printf 'Hello\\nAnd you?\\n' | lorikeet chat --model base --quiet\n";

void PrintOut(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

class Conversation {
 public:
  Conversation(const ChatOptions& options, const ChatSession& session)
      : options_(options),
        session_(session),
        system_(options.answer.system),
        generator_(session.model(), {.slots = 1, .capacity = Capacity(options, session)}) {
    Reset();
    session_.Render(messages_.empty() ? std::vector{MakeMessage("user", "")} : messages_);
  }

  // Returns false to end the program.
  bool HandleLine(const std::string& line) {
    if (line.empty()) return true;
    if (line.starts_with("//")) return Answer(line.substr(1)), true;
    if (line[0] != '/') return Answer(line), true;
    const size_t space = line.find(' ');
    const std::string command = line.substr(0, space);
    if (command == "/quit" || command == "/exit") return false;
    if (command == "/reset") {
      Reset();
      Note("a new conversation");
    } else if (command == "/system") {
      const bool given = space != std::string::npos && space + 1 < line.size();
      system_ = given ? std::optional(line.substr(space + 1)) : std::nullopt;
      Reset();
      Note(given ? "a new conversation with this system prompt"
                 : "a new conversation with the model's own system prompt, if it has one");
    } else {
      if (command != "/help") Note(fmt::format("no command {}", command));
      std::fputs(kCommands, stderr);
    }
    return true;
  }

 private:
  static int64_t Capacity(const ChatOptions& options, const ChatSession& session) {
    const int64_t capacity = std::min(options.context, session.MaxPositions());
    SlotsThatFit(session, 1, capacity);  // throws if it does not fit
    return capacity;
  }

  void Reset() {
    messages_.clear();
    if (system_) messages_.push_back(MakeMessage("system", *system_));
  }

  void Note(const std::string& text) const {
    if (!options_.common.quiet) fmt::print(stderr, "({})\n", text);
  }

  void Answer(const std::string& line) {
    messages_.push_back(MakeMessage("user", line));
    try {
      const std::string answer = Stream(session_.Encode(session_.Render(messages_)));
      messages_.push_back(MakeMessage("assistant", answer));
    } catch (const Error& e) {
      if (e.code() == ErrorCode::kDiverged) throw;
      messages_.pop_back();  // the conversation is as before the turn
      fmt::print(stderr, "lorikeet: {}\n", e.what());
    }
  }

  std::string Stream(std::vector<int32_t> prompt) {
    const auto length = static_cast<int64_t>(prompt.size());
    const int64_t left = generator_.limits().capacity - length;
    if (left < 1) {
      Fail(ErrorCode::kInvalidArgument,
           "the conversation now takes {} tokens and the context holds {}; /reset starts over",
           length, generator_.limits().capacity);
    }
    // Every turn has its own random numbers, by the position of its first token.
    GenerateRequest request{
        .prompt = std::move(prompt), .params = session_.sampling(), .adapter = session_.adapter()};
    request.params.max_tokens = std::min(request.params.max_tokens, left);
    AnswerText stream(session_.text().tokenizer, session_.stop_strings());
    std::string answer;
    const auto add = [&answer](const std::string& text) {
      answer += text;
      PrintOut(text);
    };
    request.on_token = [&](const SampledToken& token) {
      add(stream.Push(token.token));
      return !stream.stopped() && !StopRequested();
    };
    StopReason reason = StopReason::kCallback;
    request.on_done = [&reason](Generation&& generation) { reason = generation.reason; };
    generator_.Submit(std::move(request));
    while (!StopRequested() && generator_.Step()) {
    }
    generator_.Cancel();  // the rest after an interrupt
    add(stream.Finish());
    PrintOut("\n");
    if (reason == StopReason::kLength) Note("cut off: max_tokens or the end of the context");
    ShowSpeed(length);
    return answer;
  }

  void ShowSpeed(int64_t prompt_tokens) {
    const GeneratorStats& now = generator_.stats();
    if (options_.common.verbose) {
      const int64_t computed = now.prompt_tokens - before_.prompt_tokens;
      const int64_t generated = now.generated_tokens - before_.generated_tokens;
      const double seconds = now.generate_seconds - before_.generate_seconds;
      Note(fmt::format("prompt {} tokens, {} of them computed; {} generated at {:.1f} tokens/s",
                       prompt_tokens, computed, generated,
                       seconds > 0 ? static_cast<double>(generated) / seconds : 0.0));
    }
    before_ = now;
  }

  const ChatOptions& options_;
  const ChatSession& session_;
  std::optional<std::string> system_;
  std::vector<Message> messages_;
  Generator generator_;
  GeneratorStats before_;
};

// Runs until the end of the input, /quit, SIGTERM, or Ctrl-C twice with nothing to interrupt.
void Converse(Conversation& conversation, const std::string& prompt) {
  LineReader reader(STDIN_FILENO);
  bool asked_to_leave = false;
  std::string line;
  while (true) {
    PrintOut(prompt);
    const LineReader::Status status = reader.Read(&line);
    if (status == LineReader::Status::kEnd) return PrintOut(prompt.empty() ? "" : "\n");
    if (status == LineReader::Status::kInterrupted) {
      if (asked_to_leave || StopExitCode() != 128 + SIGINT || prompt.empty()) return;
      ClearStopRequest();
      asked_to_leave = true;
      fmt::print(stderr, "\n(Ctrl-C again or Ctrl-D leaves)\n");
      continue;
    }
    asked_to_leave = false;
    if (!conversation.HandleLine(line)) return;
    if (StopRequested()) {
      if (StopExitCode() != 128 + SIGINT || prompt.empty()) return;
      ClearStopRequest();  // the request ended the answer only
    }
  }
}

}  // namespace

int RunChat(int argc, char** argv) {
  ChatOptions options;
  const CommandHelp help = {.name = "chat", .summary = kSummary, .epilog = kEpilog};
  if (!ParseCommandLine(help, argc, argv, options)) return 0;
  options.common.Apply();
  const ChatSession session(options.answer);
  options.common.PrintNotes(session.model().config().notes);
  Conversation conversation(options, session);
  const bool interactive = isatty(STDIN_FILENO) != 0 && isatty(STDOUT_FILENO) != 0;
  if (interactive && !options.common.quiet) {
    fmt::print(stderr, "{}, {}\n{}", session.name(), session.SamplingText(), kCommands);
  }
  Converse(conversation, interactive ? "> " : "");
  return 0;
}

}  // namespace lorikeet
