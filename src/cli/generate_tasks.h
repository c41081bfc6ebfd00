// What `lorikeet generate` is asked: prompts from the command line or a data file, as tokens, and
// what each looks like in the output.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/prompting.h"
#include "core/json.h"
#include "data/conversation.h"

namespace lorikeet {

struct GenerateTask {
  std::vector<int32_t> prompt;  // ids
  int64_t max_tokens = 0;       // as asked, or less where the context ends sooner
  int64_t line = 0;             // in the data file; 0: from the command line
  // The row of the output is a data row again: either messages, to which the answer is appended, or
  // the prompt's text beside its completion.
  OrderedJson messages;                  // null unless the prompt is a conversation
  std::string text;                      // else
  std::optional<std::string> reference;  // the data's own answer
};

struct PromptSource {
  std::optional<std::string> prompt, prompt_file, messages, data;
  bool raw = false;  // no chat template: the text is continued
};

// Throws Error(kInvalidArgument) unless exactly one source is given, and for --raw with what only a
// chat template can place.
void CheckSource(const PromptSource& source, const std::optional<std::string>& system);

// Throws Error for bad rows (naming file and line) and for prompts that fill the model's context.
// Notes (a max_tokens that had to be lowered, ...) are appended to `notes`.
std::vector<GenerateTask> ReadTasks(const PromptSource& source, const Answerer& answerer,
                                    const std::optional<std::string>& system,
                                    std::vector<std::string>* notes);

// The row of the output: the task with its answer, then finish_reason and token counts.
OrderedJson AnswerRow(const GenerateTask& task, const std::string& answer, const char* reason,
                      const Generation& generation, bool with_logprobs);

}  // namespace lorikeet
