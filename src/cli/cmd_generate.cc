// lorikeet generate: completes one prompt, streamed, or a file of prompts, in batches.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "chat/answer_text.h"
#include "cli/commands.h"
#include "cli/generate_tasks.h"
#include "cli/prompting.h"
#include "core/file.h"
#include "core/signals.h"
#include "options/args.h"
#include "recipes/common_options.h"
#include "sample/generator.h"

namespace lorikeet {
namespace {

struct GenerateOptions {
  PromptSource source;
  std::optional<std::string> out;
  bool json, logprobs;
  int num_samples, batch_size;
  AnswerOptions answer;
  CommonOptions common;

  template <class V>
  void ForEach(V& v) {
    answer.ForEach(v);
    v(source.prompt, "prompt", std::nullopt, "What to answer.",
      {.group = "Prompt", .aliases = {"p"}, .metavar = "TEXT"});
    v(source.prompt_file, "prompt_file", std::nullopt, "A file with it; - reads standard input.",
      {.aliases = {"f"}, .metavar = "FILE"});
    v(source.messages, "messages", std::nullopt,
      "A conversation as JSON: [{\"role\": \"user\", \"content\": \"...\"}, ...].",
      {.metavar = "JSON"});
    v(source.data, "data", std::nullopt,
      "JSONL file of prompts: {\"prompt\": TEXT}, or any data file; then its own last answers are "
      "left out and come along as \"reference\".",
      {.aliases = {"dataset"}, .metavar = "FILE"});
    answer.rendering.Columns(v);
    v(source.raw, "raw", false, "Continue the text as it is, without the chat template.");
    v(num_samples, "num_samples", 1, "Answers to each prompt, each with its own random numbers.",
      {.aliases = {"num_return_sequences", "n"}, .min = 1, .max = 65536});
    v(batch_size, "batch_size", 16, "Sequences at once, if memory allows.",
      {.group = "Output", .min = 1, .max = 4096});
    v(out, "out", std::nullopt, "JSONL file for the answers to data; else standard output.",
      {.aliases = {"output", "o"}, .metavar = "FILE"});
    v(json, "json", false, "Print a JSON object per answer, also for a single prompt.");
    v(logprobs, "logprobs", false,
      "With JSON: the answers' tokens and their log-probabilities, at temperature 1 and under the "
      "distribution they were drawn from.");
    common.ForEach(v);
  }
};

constexpr const char* kSummary =
    "Lets a model answer: one prompt, streamed to standard output, or a file of prompts, many at a "
    "time. The chat template is applied where the model has one. An answer ends at the model's "
    "end-of-turn token, at a --stop text or after --max-tokens; the same seed gives the same "
    "answer, whatever else is in the batch.";

constexpr const char* kEpilog =
    "Examples:\n"
    "  lorikeet generate --model model.gguf --prompt 'What is a lorikeet?'\n"
    "  lorikeet generate --adapter out/run --prompt 'Hello' --temperature 0.7 --top-p 0.9\n"
    "  lorikeet generate --model base --data heldout.jsonl --out answers.jsonl\n"
    "  lorikeet generate --model base --raw --prompt 'Once upon a time' --stop '\\n\\n'\n";

void PrintOut(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

const char* FinishReason(const Generation& generation, const AnswerText& text) {
  if (text.stopped() || generation.reason == StopReason::kStop) return "stop";
  return generation.reason == StopReason::kLength ? "length" : "interrupted";
}

// The growing completion of one task.
struct Answer {
  Answer(const Tokenizer& tokenizer, const std::vector<std::string>& stop)
      : stream(tokenizer, stop) {}
  AnswerText stream;
  std::string text;
  Generation generation;
  bool done = false;
};

class GenerateRun {
 public:
  GenerateRun(const GenerateOptions& options, const ChatSession& session,
              const std::vector<GenerateTask>& tasks)
      : options_(options),
        session_(session),
        tasks_(tasks),
        streaming_(tasks.size() == 1 && options.num_samples == 1 && !options.json && !options.out &&
                   !options.source.data),
        generator_(session.model(), Limits(options, session, tasks)) {
    for (size_t i = 0; i < tasks.size() * static_cast<size_t>(options.num_samples); ++i) {
      answers_.push_back(
          std::make_unique<Answer>(session.text().tokenizer, session.stop_strings()));
      Submit(i);
    }
  }

  void Run() {
    while (!StopRequested() && generator_.Step()) ShowProgress();
    ClearProgress();
    if (streaming_) {
      PrintOut("\n");
    } else {
      WriteRows();
    }
    if (!options_.common.quiet) PrintSpeed();
  }

 private:
  static GeneratorLimits Limits(const GenerateOptions& options, const ChatSession& session,
                                const std::vector<GenerateTask>& tasks) {
    GeneratorLimits limits;
    for (const GenerateTask& task : tasks) {
      const auto length = static_cast<int64_t>(task.prompt.size());
      limits.capacity = std::max(limits.capacity, length + task.max_tokens);
    }
    const int64_t sequences = static_cast<int64_t>(tasks.size()) * options.num_samples;
    limits.slots =
        SlotsThatFit(session, std::min<int64_t>(options.batch_size, sequences), limits.capacity);
    return limits;
  }

  const GenerateTask& TaskOf(size_t answer) const {
    return tasks_[answer / static_cast<size_t>(options_.num_samples)];
  }

  void Submit(size_t i) {
    GenerateRequest request{.prompt = TaskOf(i).prompt,
                            .params = session_.sampling(),
                            .adapter = session_.adapter(),
                            .key = i};
    request.params.max_tokens = TaskOf(i).max_tokens;
    Answer* answer = answers_[i].get();
    request.on_token = [this, answer](const SampledToken& token) {
      Add(answer, answer->stream.Push(token.token));
      return !answer->stream.stopped() && !StopRequested();
    };
    request.on_done = [this, answer](Generation&& generation) {
      Add(answer, answer->stream.Finish());
      answer->generation = std::move(generation);
      answer->done = true;
      ++done_;
    };
    generator_.Submit(std::move(request));
  }

  void Add(Answer* answer, const std::string& text) {
    answer->text += text;
    if (streaming_ && !text.empty()) PrintOut(text);
  }

  // Rows in the order of the data; unfinished ones are missing after an interrupt.
  void WriteRows() const {
    std::string rows;
    for (size_t i = 0; i < answers_.size(); ++i) {
      const Answer& answer = *answers_[i];
      if (!answer.done || (StopRequested() && answer.generation.reason == StopReason::kCallback &&
                           !answer.stream.stopped())) {
        continue;
      }
      OrderedJson row =
          AnswerRow(TaskOf(i), answer.text, FinishReason(answer.generation, answer.stream),
                    answer.generation, options_.logprobs);
      if (options_.num_samples > 1) row["sample"] = i % static_cast<size_t>(options_.num_samples);
      rows += row.dump(-1, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
    }
    if (options_.out) {
      WriteFileAtomically(*options_.out, rows);
    } else {
      PrintOut(rows);
    }
  }

  void ShowProgress() const {
    if (streaming_ || options_.common.quiet || isatty(STDERR_FILENO) == 0) return;
    fmt::print(stderr, "\r{}/{} answers", done_, answers_.size());
    std::fflush(stderr);
  }
  void ClearProgress() const {
    if (streaming_ || options_.common.quiet || isatty(STDERR_FILENO) == 0) return;
    fmt::print(stderr, "\r\x1b[K");
  }

  void PrintSpeed() const {
    const GeneratorStats& stats = generator_.stats();
    const auto rate = [](int64_t tokens, double seconds) {
      return seconds > 0 ? static_cast<double>(tokens) / seconds : 0.0;
    };
    fmt::print(stderr, "prompt: {} tokens, {:.1f} tokens/s", stats.prompt_tokens,
               rate(stats.prompt_tokens, stats.prompt_seconds));
    if (stats.cached_tokens > 0) fmt::print(stderr, " ({} more shared)", stats.cached_tokens);
    fmt::print(stderr, "; generated: {} tokens, {:.1f} tokens/s", stats.generated_tokens,
               rate(stats.generated_tokens, stats.generate_seconds));
    if (StopRequested()) fmt::print(stderr, "; stopped with {}/{} done", done_, answers_.size());
    fmt::print(stderr, "\n");
  }

  const GenerateOptions& options_;
  const ChatSession& session_;
  const std::vector<GenerateTask>& tasks_;
  bool streaming_;
  Generator generator_;
  std::vector<std::unique_ptr<Answer>> answers_;
  size_t done_ = 0;
};

}  // namespace

int RunGenerate(int argc, char** argv) {
  GenerateOptions options;
  const CommandHelp help = {.name = "generate", .summary = kSummary, .epilog = kEpilog};
  if (!ParseCommandLine(help, argc, argv, options)) return 0;
  options.common.Apply();
  CheckSource(options.source, options.answer.system);
  options.source.columns = ColumnMap(options.answer.rendering.data_columns);
  const ChatSession session(options.answer);
  std::vector<std::string> notes = session.model().config().notes;
  const std::vector<GenerateTask> tasks =
      ReadTasks(options.source, session, options.answer.system, &notes);
  if (options.common.verbose) notes.push_back("sampling: " + session.SamplingText());
  if (!options.common.quiet) {
    for (const std::string& note : notes) fmt::print(stderr, "note: {}\n", note);
  }
  GenerateRun(options, session, tasks).Run();
  return 0;
}

}  // namespace lorikeet
