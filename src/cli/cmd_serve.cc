// lorikeet serve: one process that answers and scores over the OpenAI API, with many adapters.
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <thread>

#include "cli/commands.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/file.h"
#include "core/format.h"
#include "core/machine.h"
#include "core/signals.h"
#include "core/text.h"
#include "engine/loaded_model.h"
#include "options/args.h"
#include "recipes/common_options.h"
#include "recipes/rendering.h"
#include "serve/server.h"

namespace lorikeet {
namespace {

struct ServeOptions {
  std::string model, dtype, host;
  std::vector<std::string> adapter;
  int port;
  int64_t max_sequences, max_tokens_in_flight, context;
  double training_share, drain_seconds;
  std::optional<std::string> served_name, api_key_file, adapter_root, state_dir, tls_cert_file,
      tls_key_file;
  int training_jobs;
  bool insecure;
  RenderingOptions rendering;  // only its template options
  CommonOptions common;
  std::vector<std::string> typed;

  template <class V>
  void ForEach(V& v) {
    ModelOptions(v);
    NetworkOptions(v);
    LimitOptions(v);
    common.ForEach(v);
  }

 private:
  template <class V>
  void ModelOptions(V& v) {
    v(model, "model", "", "Folder in Hugging Face layout, GGUF file, or name in the cache.",
      {.group = "Model",
       .aliases = {"model_name_or_path", "base_model", "m"},
       .required = true,
       .positional = true,
       .metavar = "PATH"});
    v(adapter, "adapter", {},
      "An adapter to serve (PEFT, mlx-lm or GGUF) and the name by which requests ask for it; again "
      "for another one.",
      {.aliases = {"lora_modules"}, .metavar = "NAME=DIR"});
    v(served_name, "served_model_name", std::nullopt,
      "The base model's name in requests; if not given, the last part of its path.",
      {.metavar = "NAME"});
    v(dtype, "dtype", "auto",
      "What products are computed in; auto: bf16 where the CPU multiplies it natively.",
      {.aliases = {"torch_dtype", "compute_dtype"}, .choices = {"auto", "bf16", "f32"}});
    rendering.Template(v);
  }
  template <class V>
  void NetworkOptions(V& v) {
    v(host, "host", "127.0.0.1", "Address to listen on.", {.group = "Network"});
    v(port, "port", 8000, "Port to listen on; 0: any free one.", {.min = 0, .max = 65535});
    v(api_key_file, "api_key_file", std::nullopt,
      "File with the key that requests must have (Authorization: Bearer KEY).",
      {.metavar = "FILE"});
    v(insecure, "insecure", false, "Listen beyond this machine without a key.");
    v(adapter_root, "adapter_root", std::nullopt,
      "Folder below which requests may load adapters (/v1/load_lora_adapter).", {.metavar = "DIR"});
    v(state_dir, "state_dir", std::nullopt,
      "Folder for uploaded files, fine-tuning jobs and their adapters; without it they are not "
      "offered.",
      {.metavar = "DIR"});
    v(tls_cert_file, "tls_cert", std::nullopt, "Certificate (PEM, with its chain), for HTTPS.",
      {.metavar = "FILE"});
    v(tls_key_file, "tls_key", std::nullopt, "Its private key (PEM).", {.metavar = "FILE"});
    v(drain_seconds, "drain_seconds", 30.0,
      "After SIGTERM, how long answers under way may take to end.", {.min = 0});
  }
  template <class V>
  void LimitOptions(V& v) {
    v(max_sequences, "max_sequences", 64, "Sequences that are sampled at once.",
      {.group = "Limits", .aliases = {"max_num_seqs"}, .min = 1, .max = 4096});
    v(max_tokens_in_flight, "max_tokens_in_flight", 0,
      "Tokens whose keys and values are kept at once, for running sequences and shared prefixes; "
      "0: a quarter of the free memory, up to 131072.",
      {.min = 0});
    v(context, "max_model_len", 0,
      "Longest prompt and answer together; 0: what the model and max_tokens_in_flight allow.",
      {.aliases = {"context"}, .min = 0});
    v(training_jobs, "training_jobs", 1, "Fine-tuning jobs that train at once, in turns.",
      {.min = 1, .max = 64});
    v(training_share, "training_share", 0.5,
      "Training's share of the time while there are requests to answer.",
      {.min = 0.01, .max = 0.99});
  }
};

constexpr const char* kSummary =
    "Serves a model and any number of adapters over the OpenAI API: chats, completions, "
    "log-probabilities of answers and prompts. Requests for different adapters share each pass; an "
    "answer does not depend on what else is served at the time.";
constexpr const char* kEpilog =
    "Examples:\n"
    "  lorikeet serve SmolLM2-135M-Instruct --adapter mine=out/run\n"
    "  lorikeet serve model.gguf --port 9000 --api-key-file key.txt --host 0.0.0.0\n";

std::string NameOf(const ServeOptions& options) {
  if (options.served_name) return *options.served_name;
  std::filesystem::path path(options.model);
  if (!path.has_filename()) path = path.parent_path();
  return path.filename().string();
}

std::pair<std::string, std::string> SplitAdapter(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size()) {
    Fail(ErrorCode::kInvalidArgument, "adapter '{}': give NAME=DIR", text);
  }
  return {text.substr(0, equals), text.substr(equals + 1)};
}

std::string ReadKey(const std::string& file) {
  const std::string content = ReadFile(file);
  const size_t begin = content.find_first_not_of(" \t\r\n");
  if (begin == std::string::npos) {
    Fail(ErrorCode::kInvalidArgument, "{}: holds no key", file);
  }
  return content.substr(begin, content.find_last_not_of(" \t\r\n") - begin + 1);
}

bool IsLoopback(const std::string& host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

void CheckNetwork(const ServeOptions& options) {
  if (!IsLoopback(options.host) && !options.api_key_file && !options.insecure) {
    Fail(ErrorCode::kInvalidArgument,
         "host {}: others could use this server; give --api-key-file, or --insecure to allow it",
         options.host);
  }
  if (options.tls_cert_file.has_value() != options.tls_key_file.has_value()) {
    Fail(ErrorCode::kInvalidArgument, "tls_cert and tls_key go together: give both or neither");
  }
}

// Pages for max_tokens_in_flight, and the longest sequence that fits them.
GeneratorLimits LimitsOf(const ServeOptions& options, const Model& model) {
  constexpr int64_t kMaxDefault = 131072;
  int64_t tokens = options.max_tokens_in_flight;
  const auto page_bytes = static_cast<int64_t>(KvCache::Bytes(model.config(), model.compute(), 1));
  if (tokens == 0) {
    const int64_t pages = ReadMemory().available / 4 / page_bytes;
    tokens = std::clamp<int64_t>(pages * kPagePositions, kPagePositions, kMaxDefault);
  }
  const int64_t pages = KvCache::PagesFor(tokens);
  GeneratorLimits limits;
  limits.slots = options.max_sequences;
  limits.pages = pages;
  limits.capacity = std::min(model.config().max_position_embeddings, pages * kPagePositions);
  if (options.context > limits.capacity) {
    Fail(ErrorCode::kInvalidArgument,
         "max_model_len {}: the model and max_tokens_in_flight allow {}", options.context,
         limits.capacity);
  }
  if (options.context > 0) limits.capacity = options.context;
  return limits;
}

ServerOptions ServerOptionsOf(const ServeOptions& options, const Model& model) {
  ServerOptions server;
  server.http = {.host = options.host,
                 .port = options.port,
                 .tls_cert_file = options.tls_cert_file.value_or(""),
                 .tls_key_file = options.tls_key_file.value_or("")};
  server.model_name = NameOf(options);
  for (const std::string& adapter : options.adapter)
    server.adapters.push_back(SplitAdapter(adapter));
  server.text = {.chat_template = options.rendering.chat_template.value_or(""),
                 .variables = TemplateVariablesOf(options.rendering),
                 .date = options.rendering.date.value_or("")};
  server.limits = LimitsOf(options, model);
  server.turns.training_share = options.training_share;
  if (options.api_key_file) server.api_key = ReadKey(*options.api_key_file);
  server.adapter_root = options.adapter_root.value_or("");
  server.state_dir = options.state_dir.value_or("");
  server.model_path = options.model;
  server.dtype = options.dtype;
  server.training_jobs = options.training_jobs;
  return server;
}

void PrintStart(const ServeOptions& options, const ServerOptions& server_options,
                const Server& server, const LoadedModel& loaded, double seconds) {
  const char* scheme = options.tls_cert_file ? "https" : "http";
  const std::string url = fmt::format("{}://{}:{}", scheme, options.host, server.port());
  const Server::Memory memory = server.PlannedMemory();
  fmt::print(stderr, "serving {} at {}/v1, ready in {:.2f} s\n", server_options.model_name, url,
             seconds);
  for (const auto& [name, path] : server_options.adapters) {
    fmt::print(stderr, "  adapter {} ({})\n", name, path);
  }
  fmt::print(
      stderr, "memory: weights {}, keys and values up to {} ({} tokens), passes {}, adapters {}\n",
      HumanBytes(static_cast<int64_t>(loaded.model->OwnedBytes())),
      HumanBytes(static_cast<int64_t>(memory.keys_and_values)),
      server.limits().pages * kPagePositions, HumanBytes(static_cast<int64_t>(memory.workspace)),
      HumanBytes(static_cast<int64_t>(memory.adapters)));
  const std::string key = options.api_key_file ? " -H \"Authorization: Bearer $KEY\"" : "";
  fmt::print(stderr,
             "try it:\n  curl {}/v1/chat/completions{} -d '{{\"model\": \"{}\", \"messages\": "
             "[{{\"role\": \"user\", \"content\": \"Hello\"}}]}}'\n",
             url, key, server_options.model_name);
}

}  // namespace

int RunServe(int argc, char** argv) {
  ServeOptions options;
  const CommandHelp help = {.name = "serve", .summary = kSummary, .epilog = kEpilog};
  if (!ParseCommandLine(help, argc, argv, options)) return 0;
  options.common.Apply();
  CheckNetwork(options);
  const double start = Now();
  const auto loaded = std::make_shared<const LoadedModel>(
      LoadModel(options.model, ParseComputeDtype(options.dtype)));
  options.common.PrintNotes(loaded->model->config().notes);
  const ServerOptions server_options = ServerOptionsOf(options, *loaded->model);
  Server server(loaded, server_options);
  options.common.PrintNotes(server.Findings());
  if (!options.common.quiet) {
    PrintStart(options, server_options, server, *loaded, Now() - start);
  }
  while (!StopRequested()) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  if (!options.common.quiet) fmt::print(stderr, "stopping\n");
  server.Stop(options.drain_seconds);
  return StopExitCode();
}

}  // namespace lorikeet
