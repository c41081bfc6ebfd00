// Tasks of `lorikeet generate`: prompts from the command line or a data file, as tokens, and their
// rows in the output.
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
  std::vector<int32_t> prompt;  // token ids
  int64_t max_tokens = 0;       // as requested, or less if the context ends sooner
  int64_t line = 0;             // line number in the data file; 0: from the command line
  // The output row is a valid data row: either messages, to which the answer is appended, or the
  // prompt's text and its completion.
  OrderedJson messages;                  // null unless the prompt is a conversation
  std::string text;                      // the prompt otherwise
  std::optional<std::string> reference;  // the answer in the data
  std::vector<Remark> remarks = {};      // on its row and on what the chat template leaves out
};

struct PromptSource {
  std::optional<std::string> prompt, prompt_file, messages, data;
  ColumnMap columns = {};  // names of columns in the data file
  bool raw = false;        // true: continue the text without a chat template
};

// Throws Error(kInvalidArgument) unless exactly one source is given, and for --raw with messages or
// a system prompt, which need a chat template.
void CheckSource(const PromptSource& source, const std::optional<std::string>& system);

// Throws Error for bad rows (naming file and line) and for prompts that fill the model's context.
// Notes (a max_tokens that had to be lowered, ...) are appended to `notes`.
std::vector<GenerateTask> ReadTasks(const PromptSource& source, const ChatSession& session,
                                    const std::optional<std::string>& system,
                                    std::vector<std::string>* notes);

// The output row: the task with its answer, then finish_reason and token counts.
OrderedJson AnswerRow(const GenerateTask& task, const std::string& answer, const char* reason,
                      const Generation& generation, bool with_logprobs);

}  // namespace lorikeet
