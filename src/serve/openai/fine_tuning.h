// /v1/fine_tuning/jobs: fine-tuning in the shapes of OpenAI's API.
#pragma once
#include "core/json.h"
#include "serve/context.h"
#include "serve/jobs/job_runner.h"
#include "serve/state/state_store.h"

namespace lorikeet {

OrderedJson JobJson(const StoredJob& job);

// Throws ApiError(400) naming the field: an unknown file or model, a method that does not exist.
OrderedJson CreateJob(const StateStore& store, const ServedModels& models, JobRunner& runner,
                      const ServeRequest& request);
OrderedJson ListJobs(const StateStore& store, const ServeRequest& request);
// Throw ApiError(404) for an unknown job.
OrderedJson RetrieveJob(const StateStore& store, const std::string& id);
OrderedJson ListJobEvents(const StateStore& store, const std::string& id,
                          const ServeRequest& request);
OrderedJson ListJobCheckpoints(const StateStore& store, const std::string& id,
                               const ServeRequest& request);

}  // namespace lorikeet
