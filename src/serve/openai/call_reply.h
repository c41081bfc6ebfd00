// A `CallReply` is the answer to a completion request in the making: it turns the events of a
// `GenerationCall` into one JSON object, or into a stream of chunks (server-sent events).
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "core/json.h"
#include "serve/context.h"
#include "serve/generation_call.h"

namespace lorikeet {

// The parts in which chats and plain completions differ.
struct CallFormat {
  std::string id, object, chunk_object;  // "cmpl-...", "text_completion", "text_completion"
  // A choice of the complete answer.
  std::function<OrderedJson(GenerationCall& call, size_t choice)> choice;
  // The chunks of a stream: before the first piece (may be empty), of a piece (null: none is sent
  // now), and at a choice's end, with finish_reason.
  std::function<OrderedJson(size_t choice)> first_chunk;
  std::function<OrderedJson(GenerationCall& call, size_t choice, std::string piece)> piece;
  std::function<std::vector<OrderedJson>(GenerationCall& call, size_t choice)> last_chunks;
};

// Starts the call and answers it. Throws ApiError or Error if it cannot be started; then nothing
// has been sent.
void AnswerCall(ServeContext& context, CallRequest request, CallFormat format,
                const std::shared_ptr<HttpReply>& reply);

// "PREFIX-" and 24 random letters and digits.
std::string RandomId(const std::string& prefix);

}  // namespace lorikeet
