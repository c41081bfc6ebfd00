#include "serve/server.h"

#include <atomic>
#include <mutex>
#include <optional>
#include <utility>

#include "serve/api_error.h"
#include "serve/constraint.h"
#include "serve/context.h"
#include "serve/generation_call.h"
#include "serve/jobs/job_runner.h"
#include "serve/metrics_text.h"
#include "serve/openai/chat.h"
#include "serve/openai/completions.h"
#include "serve/openai/files.h"
#include "serve/openai/fine_tuning.h"
#include "serve/openai/logprobs_json.h"
#include "serve/openai/models.h"
#include "serve/queue_watch.h"
#include "serve/request_fields.h"
#include "serve/routes.h"
#include "serve/sampling_service.h"
#include "serve/secret.h"
#include "serve/state/state_store.h"
#include "serve/worker_pool.h"

namespace lorikeet {
namespace {

void SendJson(const ServeRequest& request, const OrderedJson& json) {
  request.reply->Send({.status = 200, .body = Dump(json)});
}

void SendText(const ServeRequest& request, const std::string& text,
              const char* type = "text/plain; charset=utf-8") {
  request.reply->Send({.status = 200, .content_type = type, .body = text});
}

}  // namespace

struct Server::Impl {
  Impl(std::shared_ptr<const LoadedModel> loaded, const ServerOptions& o)
      : options(o),
        turns(o.turns),
        models(std::move(loaded), o.model_name, o.text),
        sampling(models.model(), o.limits, turns),
        watch(sampling),
        context{models, sampling, constraints, o.adapter_root,
                [this](const std::shared_ptr<GenerationCall>& call,
                       const std::shared_ptr<HttpReply>& reply) { watch.Add(call, reply); }},
        workers(o.workers),
        http(o.http, [this](HttpRequest request, std::shared_ptr<HttpReply> reply) {
          Accept(std::move(request), std::move(reply));
        }) {
    for (const auto& [name, path] : options.adapters) models.Load(name, path);
    if (!options.state_dir.empty()) {
      store.emplace(options.state_dir);
      const JobRunnerOptions jobs = {
          .model = options.model_path, .dtype = options.dtype, .running = options.training_jobs};
      runner.emplace(*store, models, turns, jobs);
    }
    AddRoutes();
    http.Start();
  }

  // Replies belong to the HTTP server's event loop: everything that may answer ends before it.
  ~Impl() {
    http.Drain(0);
    if (runner) runner->Stop();
    sampling.Stop();
    workers.Finish();
  }

  void AddRoutes() {
    routes.Add("GET", "/health", [](const ServeRequest& r) { SendJson(r, {{"status", "ok"}}); });
    routes.Add("GET", "/ping", [](const ServeRequest& r) { SendJson(r, {{"status", "ok"}}); });
    routes.Add("GET", "/metrics", [this](const ServeRequest& r) {
      SendText(r, MetricsText(Figures()), "text/plain; version=0.0.4; charset=utf-8");
    });
    for (const std::string prefix : {"/v1", "/oai/api/v1"}) {
      routes.Add("GET", prefix + "/models",
                 [this](const ServeRequest& r) { SendJson(r, ListModels(context)); });
      routes.Add("GET", prefix + "/models/*", [this](const ServeRequest& r) {
        SendJson(r, RetrieveModel(context, r.http.path.back()));
      });
      routes.Add("POST", prefix + "/completions",
                 [this](const ServeRequest& r) { HandleCompletion(context, r); });
      routes.Add("POST", prefix + "/chat/completions",
                 [this](const ServeRequest& r) { HandleChat(context, r); });
      routes.Add("POST", prefix + "/load_lora_adapter", [this](const ServeRequest& r) {
        SendText(r, LoadAdapter(context, ParseRequest(r.http.body)));
      });
      routes.Add("POST", prefix + "/unload_lora_adapter", [this](const ServeRequest& r) {
        SendText(r, UnloadAdapter(context, ParseRequest(r.http.body)));
      });
    }
    for (const std::string prefix : {"/v1", "/oai/api/v1"}) AddFineTuning(prefix);
    routes.Add("POST", "/tokenize", [this](const ServeRequest& r) {
      SendJson(r, Tokenize(context, ParseRequest(r.http.body)));
    });
    routes.Add("POST", "/detokenize", [this](const ServeRequest& r) {
      SendJson(r, Detokenize(context, ParseRequest(r.http.body)));
    });
  }

  void AddFineTuning(const std::string& prefix) {
    if (!store) return;
    const std::string files = prefix + "/files", jobs = prefix + "/fine_tuning/jobs";
    const auto get = [this](const std::string& path, auto answer) {
      routes.Add("GET", path, [answer](const ServeRequest& r) { SendJson(r, answer(r)); });
    };
    const auto post = [this](const std::string& path, auto answer) {
      routes.Add("POST", path, [answer](const ServeRequest& r) { SendJson(r, answer(r)); });
    };
    post(files, [this](const ServeRequest& r) { return UploadFile(*store, r); });
    get(files, [this](const ServeRequest& r) { return ListFiles(*store, r); });
    get(files + "/*",
        [this](const ServeRequest& r) { return RetrieveFile(*store, r.http.path.back()); });
    routes.Add("DELETE", files + "/*", [this](const ServeRequest& r) {
      SendJson(r, DeleteFile(*store, r.http.path.back()));
    });
    routes.Add("GET", files + "/*/content", [this](const ServeRequest& r) {
      SendFileContent(*store, r.http.path[r.http.path.size() - 2], *r.reply);
    });
    // .../ID/WHAT
    const auto id_of = [](const ServeRequest& r) { return r.http.path[r.http.path.size() - 2]; };
    post(jobs, [this](const ServeRequest& r) { return CreateJob(*store, models, *runner, r); });
    get(jobs, [this](const ServeRequest& r) { return ListJobs(*store, r); });
    get(jobs + "/*",
        [this](const ServeRequest& r) { return RetrieveJob(*store, r.http.path.back()); });
    post(jobs + "/*/cancel",
         [=, this](const ServeRequest& r) { return JobJson(runner->Cancel(id_of(r))); });
    post(jobs + "/*/pause",
         [=, this](const ServeRequest& r) { return JobJson(runner->Pause(id_of(r))); });
    post(jobs + "/*/resume",
         [=, this](const ServeRequest& r) { return JobJson(runner->Resume(id_of(r))); });
    get(jobs + "/*/events",
        [=, this](const ServeRequest& r) { return ListJobEvents(*store, id_of(r), r); });
    get(jobs + "/*/checkpoints",
        [=, this](const ServeRequest& r) { return ListJobCheckpoints(*store, id_of(r), r); });
  }

  // On the event loop's thread.
  void Accept(HttpRequest request, std::shared_ptr<HttpReply> reply) {
    auto shared =
        std::make_shared<ServeRequest>(ServeRequest{std::move(request), "", std::move(reply)});
    workers.Run([this, shared] { Answer(*shared); });
  }

  void Answer(ServeRequest& request) {
    try {
      Authorize(request);
      routes.Handle(request);
      Count(200);
    } catch (...) {
      const ApiError error = ToApiError(std::current_exception());
      Count(error.status());
      request.reply->Send({.status = error.status(), .body = Dump(error.ToJson())});
    }
  }

  // Sets the client. /health needs no key, so that a supervisor can ask.
  void Authorize(ServeRequest& request) const {
    constexpr std::string_view kBearer = "Bearer ";
    std::string_view key = request.http.Header("Authorization");
    if (key.starts_with(kBearer)) key.remove_prefix(kBearer.size());
    if (key.empty()) key = request.http.Header("X-API-Key");
    const bool open = !request.http.path.empty() && request.http.path[0] == "health";
    if (!options.api_key.empty() && !open && !SameSecret(key, options.api_key)) {
      throw ApiError(
          401,
          key.empty() ? "an API key is needed: Authorization: Bearer KEY" : "the API key is wrong",
          "", "invalid_api_key");
    }
    request.client = request.http.peer;
  }

  void Count(int status) {
    const std::lock_guard lock(mutex);
    ++answers[status];
  }

  ServerFigures Figures() {
    ServerFigures figures{.sampling = sampling.Stats(),
                          .turns = turns.Times(),
                          .adapters = std::ssize(models.List()) - 1,
                          .adapter_bytes = models.AdapterBytes(),
                          .connections = http.connections(),
                          .answers_by_status = {}};
    const std::lock_guard lock(mutex);
    figures.answers_by_status = answers;
    return figures;
  }

  ServerOptions options;
  EngineTurns turns;
  ServedModels models;
  SamplingService sampling;
  QueueWatch watch;
  Constraints constraints;
  ServeContext context;
  std::optional<StateStore> store;
  std::optional<JobRunner> runner;
  Routes routes;
  std::mutex mutex;
  std::map<int, int64_t> answers;
  WorkerPool workers;
  HttpServer http;  // the first to go
};

Server::Server(std::shared_ptr<const LoadedModel> loaded, const ServerOptions& options)
    : impl_(std::make_unique<Impl>(std::move(loaded), options)) {}

Server::~Server() = default;

int Server::port() const { return impl_->http.port(); }

std::vector<std::string> Server::Findings() const {
  std::vector<std::string> findings;
  if (impl_->store) findings = impl_->store->findings();
  if (impl_->runner) {
    findings.insert(findings.end(), impl_->runner->findings().begin(),
                    impl_->runner->findings().end());
  }
  return findings;
}

void Server::Stop(double seconds) {
  impl_->http.Drain(seconds);
  if (impl_->runner) impl_->runner->Stop();
  impl_->sampling.Stop();
}

Server::Memory Server::PlannedMemory() const {
  const Generator::Memory plan =
      Generator::Plan(impl_->models.model(), impl_->sampling.limits(), {.rank = 64, .dora = false});
  return {plan.cache, plan.workspace, impl_->models.AdapterBytes()};
}

const GeneratorLimits& Server::limits() const { return impl_->sampling.limits(); }

}  // namespace lorikeet
