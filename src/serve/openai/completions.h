// POST /v1/completions: texts and token ids continued or scored.
#pragma once
#include "serve/context.h"

namespace lorikeet {

// Answers, later and on another thread. Throws ApiError or Error for what cannot be begun.
void HandleCompletion(ServeContext& context, const ServeRequest& request);

// The model of a request's field `model`; the base if there is none. Throws ApiError(404).
ServedModelPtr ModelOf(const ServeContext& context, class RequestFields& fields);

// Throws ApiError(400) with the code context_length_exceeded unless a prompt and max_tokens fit the
// context.
void CheckContext(const ServeContext& context, int64_t prompt_tokens, int64_t max_tokens);

}  // namespace lorikeet
