// POST /v1/chat/completions: messages answered, with tools and constrained formats.
#pragma once
#include "serve/context.h"

namespace lorikeet {

// Answers, later and on another thread. Throws ApiError or Error for what cannot be begun.
void HandleChat(ServeContext& context, const ServeRequest& request);

// The messages of a request, as templates take them. `developer` becomes `system`. Throws
// ApiError(400) naming the message: for unknown roles and for parts that are not text.
std::vector<struct Message> ReadMessages(const OrderedJson& list);

}  // namespace lorikeet
