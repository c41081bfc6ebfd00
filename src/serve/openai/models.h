// The smaller calls about models: GET /v1/models, vLLM's loading of adapters, /tokenize and
// /detokenize.
#pragma once
#include "core/json.h"
#include "serve/context.h"

namespace lorikeet {

OrderedJson ListModels(const ServeContext& context);
// Throws ApiError(404).
OrderedJson RetrieveModel(const ServeContext& context, const std::string& name);

// Load and unload an adapter; return the text of the answer. Throw ApiError: 403 for a path that is
// not below ServeContext::adapter_root, 404 for one that does not exist or a name that is not
// served, 400 for a name that is taken and for an adapter that does not fit.
std::string LoadAdapter(const ServeContext& context, const OrderedJson& request);
std::string UnloadAdapter(const ServeContext& context, const OrderedJson& request);

// llama-server's fields (content) and vLLM's (prompt or messages), told apart by their names.
OrderedJson Tokenize(const ServeContext& context, const OrderedJson& request);
OrderedJson Detokenize(const ServeContext& context, const OrderedJson& request);

}  // namespace lorikeet
