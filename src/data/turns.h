// Messages of a data file, as OpenAI or ShareGPT write them, in one form.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "chat/message.h"
#include "core/json.h"
#include "data/columns.h"

namespace lorikeet {

// A `Remark` is something about a row that the user should know; equal texts of a file are counted.
struct Remark {
  std::string text;
  std::optional<int64_t> message = {};  // index of the message, if it is about one
};

// Reads a list of {"role", "content"} or {"from", "value"}. Turns of calls become assistant turns
// with `tool_calls`; what says whether a turn is trained ("train", "training", "loss", true and
// false) becomes `weight` 0 or 1 of an assistant turn. Throws Error without the place in the file.
std::vector<Message> ParseTurns(OrderedJson list, const ColumnMap& columns,
                                std::vector<Remark>* remarks);

// The earlier turns of an Alpaca row: a list of [question, answer] pairs, or of messages.
std::vector<Message> ParseHistory(OrderedJson history, const ColumnMap& columns,
                                  std::vector<Remark>* remarks);

// The tools of a row, or its `functions` of older files. Some tables keep them as a string of JSON.
// `wrap`: an object without "function" becomes {"type": "function", "function": ...}. null if none.
OrderedJson ParseTools(OrderedJson tools, const char* key, bool wrap);

}  // namespace lorikeet
