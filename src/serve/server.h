// A `Server` is everything that `lorikeet serve` runs: the models, the sampling thread, the HTTP
// server and the routes from requests to their handlers.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/loaded_model.h"
#include "engine/model_text.h"
#include "sample/generator.h"
#include "serve/engine_turns.h"
#include "serve/http/http_server.h"

namespace lorikeet {

struct ServerOptions {
  HttpServerOptions http{};
  std::string model_name;                                       // name of the base in requests
  std::vector<std::pair<std::string, std::string>> adapters{};  // name, path
  TextOptions text{};
  GeneratorLimits limits{};
  TurnLimits turns{};
  std::string api_key;            // "": none is asked for
  std::string adapter_root;       // for load_lora_adapter; "": not offered
  std::string state_dir;          // for files and fine-tuning jobs; "": not offered
  std::string model_path, dtype;  // the base, as `sft` takes it
  int training_jobs = 1;          // that train at once
  int workers = 2;                // threads that read requests and load adapters
};

class Server {
 public:
  // Loads the adapters and listens. Throws Error.
  Server(std::shared_ptr<const LoadedModel> loaded, const ServerOptions& options);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  int port() const;
  // Refuses new requests, lets those under way end for so many seconds, cancels the rest.
  void Stop(double seconds);

  // Lines about what was found in the state folder.
  std::vector<std::string> Findings() const;

  struct Memory {
    size_t keys_and_values = 0, workspace = 0, adapters = 0;
  };
  Memory PlannedMemory() const;
  const GeneratorLimits& limits() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lorikeet
