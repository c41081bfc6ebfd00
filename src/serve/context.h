// A `ServeContext` holds what the handlers of requests share, and how they are called.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "serve/constraint.h"
#include "serve/http/http_server.h"
#include "serve/sampling_service.h"
#include "serve/served_models.h"

namespace lorikeet {

struct ServeContext {
  ServedModels& models;
  SamplingService& sampling;
  Constraints& constraints;
  std::string adapter_root;  // load_lora_adapter takes folders below it; "": none
  // Keeps watch over a streamed call: tells its client its place in the queue from time to time.
  std::function<void(std::shared_ptr<class GenerationCall>, std::shared_ptr<HttpReply>)> watch;
};

// A request with the identity of its client, for the fair queue.
struct ServeRequest {
  HttpRequest http;
  std::string client;
  std::shared_ptr<HttpReply> reply;
};

}  // namespace lorikeet
