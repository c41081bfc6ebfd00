// A `Record` is a row of a data file: a conversation, a prompt with its completion, text, or
// tokens.
#pragma once
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "chat/chat_template.h"
#include "core/json.h"
#include "data/columns.h"
#include "data/row_file.h"
#include "data/turns.h"

namespace lorikeet {

enum class Format : uint8_t {
  kMessages,          // {"messages": [{"role", "content", "weight"?, ...}], "system"?}, or the list
  kPromptCompletion,  // {"prompt", "completion"}: strings, or lists of messages
  kText,              // {"text"}
  kAlpaca,            // {"instruction", "input"?, "output", "system"?, "history"?}
  kShareGpt,          // {"conversations": [{"from", "value"}], "system"?}
  kTokens,            // {"tokens": [ids], "weights": [one per token]?}
};
const char* FormatName(Format format);  // "messages", "prompt/completion", ...

struct Record {
  Format format = Format::kMessages;
  // Messages, Alpaca and ShareGPT; prompt/completion given as messages. Message.fields holds the
  // keys besides role and content.
  std::vector<Message> messages;
  // Assistant turns from this one on may be trained: 0, or the first turn of the completion.
  int64_t first_trainable = 0;
  std::string prompt, completion;  // strings of prompt/completion rows
  std::string text;
  std::vector<int32_t> tokens;
  std::vector<float> weights;      // weight of each token as a target; empty: all 1
  OrderedJson tools;               // for the chat template; null when absent
  OrderedJson template_variables;  // "chat_template_kwargs" of the row; null when absent
  std::vector<Remark> remarks;
  std::string taken;  // columns recognised by themselves: "instruction=question,output=answer"
  std::vector<std::string> missing_columns;  // named by the user, not in this row
  int64_t line = 0;
};

// Reads one row, by the names that `columns` gives. Frequent names of two columns (question and
// answer, prompt and response, ...) are taken as `instruction` and `output`. Keys unknown to the
// format are added to `ignored_keys`. Throws Error with a message without the place: the caller
// knows file and line.
Record ParseRecord(const Row& row, std::set<std::string>* ignored_keys = nullptr,
                   const ColumnMap& columns = {});

// Bad rows of one file, reported together: the first in full, the others by line.
class RowErrors {
 public:
  static constexpr size_t kMaxErrors = 20;
  void Add(int64_t line, std::string what);
  bool enough() const { return errors_.size() >= kMaxErrors; }
  // Throws Error if there are bad rows: "FILE:LINE: reason (and 2 more bad rows: lines 5, 9)".
  void ThrowIfAny(const std::string& path) const;

 private:
  struct Entry {
    int64_t line;
    std::string what;
  };
  std::vector<Entry> errors_;
};

// All rows of a file, which must be of one format. Throws one Error for all bad rows.
std::vector<Record> ReadRecords(const std::string& path);

}  // namespace lorikeet
