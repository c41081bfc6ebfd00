#include "serve/openai/fine_tuning.h"

#include <random>
#include <utility>

#include "serve/api_error.h"
#include "serve/jobs/job_settings.h"
#include "serve/openai/files.h"
#include "serve/request_fields.h"

namespace lorikeet {
namespace {

OrderedJson Ordered(const Json& json) { return OrderedJson::parse(json.dump()); }

template <class T>
OrderedJson OrNull(const std::optional<T>& value) {
  return value ? OrderedJson(*value) : OrderedJson();
}

StoredJob Need(const StateStore& store, const std::string& id) {
  std::optional<StoredJob> job = store.GetJob(id);
  if (!job) Refuse(404, "fine_tuning_job_id", "there is no fine-tuning job '{}'", id);
  return *std::move(job);
}

std::string NeedFile(const StateStore& store, const std::string& id, const char* field) {
  const std::optional<StoredFile> file = store.GetFile(id);
  if (!file) Refuse(400, field, "{}: there is no file '{}'", field, id);
  if (file->purpose != "fine-tune") {
    Refuse(400, field, "{}: the file's purpose is {}, not fine-tune", field, file->purpose);
  }
  return id;
}

// The hyper-parameters of `method`, or the older field.
JobSettings ReadMethod(RequestFields& fields) {
  const OrderedJson older = fields.Value("hyperparameters");
  const OrderedJson value = fields.Value("method");
  if (value.is_null()) return JobSettings::Read(older, "hyperparameters");
  RequestFields method(value, "method");
  const std::string type = method.NeedString("type");
  if (type != "supervised") {
    Refuse(400, "method.type", "method.type: '{}' is not supported here, only supervised{}", type,
           type == "reinforcement" ? "; `lorikeet rl` learns from rewards" : "");
  }
  if (!older.is_null()) {
    Refuse(400, "hyperparameters", "hyperparameters and method exclude each other; give method");
  }
  const OrderedJson supervised = method.Value("supervised");
  method.RefuseOthers();
  if (supervised.is_null()) return {};
  RequestFields nested(supervised, "method.supervised");
  const OrderedJson hyperparameters = nested.Value("hyperparameters");
  nested.RefuseOthers();
  return JobSettings::Read(hyperparameters, "method.supervised.hyperparameters");
}

Json ReadMetadata(RequestFields& fields) {
  const OrderedJson& value = fields.Value("metadata");
  if (value.is_null()) return nullptr;
  RequestFields nested(value, "metadata");
  for (const auto& [key, each] : value.items()) {
    if (!each.is_string()) Refuse(400, "metadata", "metadata.{} must be a string", key);
  }
  return Json::parse(value.dump());
}

OrderedJson EventJson(const JobEvent& event) {
  return {{"object", "fine_tuning.job.event"},
          {"id", event.id},
          {"created_at", event.created_at},
          {"level", std::string(NameOf(event.level))},
          {"message", event.message},
          {"type", std::string(NameOf(event.type))},
          {"data", event.data.is_null() ? OrderedJson() : Ordered(event.data)}};
}

OrderedJson CheckpointJson(const JobCheckpoint& checkpoint) {
  return {{"object", "fine_tuning.job.checkpoint"},
          {"id", checkpoint.id},
          {"created_at", checkpoint.created_at},
          {"fine_tuned_model_checkpoint", checkpoint.fine_tuned_model_checkpoint},
          {"fine_tuning_job_id", checkpoint.job},
          {"step_number", checkpoint.step_number},
          {"metrics", Ordered(checkpoint.metrics)}};
}

template <class T, class ToJson>
OrderedJson ListJson(const Page<T>& page, const ToJson& to_json) {
  OrderedJson data = OrderedJson::array();
  for (const T& each : page.data) data.push_back(to_json(each));
  OrderedJson json = {{"object", "list"}, {"data", std::move(data)}, {"has_more", page.has_more}};
  json["first_id"] = page.data.empty() ? OrderedJson() : OrderedJson(page.data.front().id);
  json["last_id"] = page.data.empty() ? OrderedJson() : OrderedJson(page.data.back().id);
  return json;
}

}  // namespace

OrderedJson JobJson(const StoredJob& job) {
  OrderedJson error;
  if (job.error) {
    error = {{"code", job.error->code},
             {"message", job.error->message},
             {"param", OrNull(job.error->param)}};
  }
  return {{"object", "fine_tuning.job"},
          {"id", job.id},
          {"model", job.model},
          {"created_at", job.created_at},
          {"finished_at", OrNull(job.finished_at)},
          {"fine_tuned_model", OrNull(job.fine_tuned_model)},
          {"organization_id", "local"},
          {"result_files", job.result_files},
          {"status", std::string(NameOf(job.status))},
          {"validation_file", OrNull(job.validation_file)},
          {"training_file", job.training_file},
          {"hyperparameters", Ordered(job.hyperparameters)},
          {"trained_tokens", OrNull(job.trained_tokens)},
          {"error", error},
          {"user_provided_suffix", OrNull(job.suffix)},
          {"seed", job.seed},
          {"estimated_finish", OrNull(job.estimated_finish)},
          {"integrations", OrderedJson::array()},
          {"metadata", Ordered(job.metadata)},
          {"method",
           {{"type", "supervised"},
            {"supervised", {{"hyperparameters", Ordered(job.hyperparameters)}}}}}};
}

OrderedJson CreateJob(const StateStore& store, const ServedModels& models, JobRunner& runner,
                      const ServeRequest& request) {
  constexpr int64_t kMaxSeed = 2147483647;
  const OrderedJson json = ParseRequest(request.http.body);
  RequestFields fields(json);
  StoredJob job;
  job.model = fields.NeedString("model");
  if (job.model != models.base()->name) {
    Refuse(400, "model", "model: '{}' cannot be trained here, only the base '{}'", job.model,
           models.base()->name);
  }
  if (models.base()->text == nullptr) Refuse(400, "model", "{}: has no tokenizer", job.model);
  job.training_file = NeedFile(store, fields.NeedString("training_file"), "training_file");
  if (const auto file = fields.String("validation_file")) {
    job.validation_file = NeedFile(store, *file, "validation_file");
  }
  job.suffix = fields.String("suffix");
  if (job.suffix && (job.suffix->size() > 64 || job.suffix->find('\n') != std::string::npos)) {
    Refuse(400, "suffix", "suffix must be a line of at most 64 characters");
  }
  job.seed = fields.Int("seed", 0, kMaxSeed)
                 .value_or(static_cast<int64_t>(std::random_device()() & kMaxSeed));
  job.hyperparameters = ReadMethod(fields).ToJson();
  job.metadata = ReadMetadata(fields);
  fields.OnlyNeutral({"integrations"});
  fields.RefuseOthers();
  job.owner = request.client;
  return JobJson(runner.Create(std::move(job)));
}

OrderedJson ListJobs(const StateStore& store, const ServeRequest& request) {
  return ListJson(store.ListJobs(ReadPage(request.http, 20, 100)), JobJson);
}

OrderedJson RetrieveJob(const StateStore& store, const std::string& id) {
  return JobJson(Need(store, id));
}

OrderedJson ListJobEvents(const StateStore& store, const std::string& id,
                          const ServeRequest& request) {
  Need(store, id);
  return ListJson(store.ListEvents(id, ReadPage(request.http, 20, 1000)), EventJson);
}

OrderedJson ListJobCheckpoints(const StateStore& store, const std::string& id,
                               const ServeRequest& request) {
  Need(store, id);
  return ListJson(store.ListCheckpoints(id, ReadPage(request.http, 10, 100)), CheckpointJson);
}

}  // namespace lorikeet
