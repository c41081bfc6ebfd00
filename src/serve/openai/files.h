// /v1/files: uploads of data for fine-tuning, and the results of jobs.
#pragma once
#include "core/json.h"
#include "serve/context.h"
#include "serve/state/state_store.h"

namespace lorikeet {

// All throw ApiError: 404 for files that do not exist, 400 for what is wrong with a request.
OrderedJson UploadFile(StateStore& store, const ServeRequest& request);
OrderedJson ListFiles(const StateStore& store, const ServeRequest& request);
OrderedJson RetrieveFile(const StateStore& store, const std::string& id);
OrderedJson DeleteFile(StateStore& store, const std::string& id);
void SendFileContent(const StateStore& store, const std::string& id, HttpReply& reply);

// The page that a list's query asks for: after, limit (up to max_limit) and order.
PageRequest ReadPage(const HttpRequest& http, int64_t default_limit, int64_t max_limit);

}  // namespace lorikeet
