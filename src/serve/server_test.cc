// The server as its clients see it, over sockets, on a tiny chat model.
#include "serve/server.h"

#include <gmock/gmock.h>

#include <string>
#include <thread>
#include <vector>

#include "core/file.h"
#include "core/temporary_folder_for_test.h"
#include "model/lora.h"
#include "rl/tiny_policy_for_test.h"
#include "serve/http/client_for_test.h"

namespace lorikeet {
namespace {

using ::testing::HasSubstr;

class ServerTest : public ::testing::Test {
 protected:
  ServerTest() : model_(kTinyChat, "server_test") {
    WriteFileAtomically(model_.path() + "/tokenizer.json", tiny_bundle::TokenizerJson({}).dump());
    const OrderedJson config = {
        {"bos_token", "<s>"}, {"eos_token", "<|im_end|>"}, {"chat_template", kChatMl}};
    WriteFileAtomically(model_.path() + "/tokenizer_config.json", config.dump());
    loaded_ = std::make_shared<const LoadedModel>(LoadModel(model_.path(), DType::kF32));
    options_.http.port = 0;
    options_.model_name = "tiny";
    options_.limits = {.slots = 8, .capacity = 256, .tokens_per_step = 64};
    options_.adapter_root = root_.path();
    SaveAdapter("good", 1);
    SaveAdapter("other", 2);
  }

  void SaveAdapter(const std::string& name, uint64_t seed) const {
    LoraAdapter adapter = LoraAdapter::Create(
        *loaded_->model, {.r = 4, .target_modules = {"q_proj", "lm_head"}}, seed);
    for (const LoraPair& pair : adapter.pairs()) {
      const RandomStream random(seed, "b", pair.module);
      for (int64_t i = 0; i < pair.bt.size(); ++i) {
        pair.bt.as<float>()[i] = static_cast<float>(random.Uniform(i) - 0.5);
      }
    }
    CreateFolders(root_ / name);
    adapter.Save(root_ / name);
  }

  Server& Start() {
    server_ = std::make_unique<Server>(loaded_, options_);
    return *server_;
  }
  TestAnswer Ask(const std::string& method, const std::string& path, const std::string& body,
                 const std::string& headers = "") {
    TestClient client(server_->port());
    return client.Ask(method + " " + path + " HTTP/1.1\r\nHost: x\r\n" + headers +
                      "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  }
  OrderedJson Post(const std::string& path, const OrderedJson& body, int status = 200) {
    const TestAnswer answer = Ask("POST", path, body.dump());
    EXPECT_EQ(answer.status, status) << answer.body;
    return OrderedJson::parse(answer.body, nullptr, false);
  }
  OrderedJson Get(const std::string& path, int status = 200) {
    const TestAnswer answer = Ask("GET", path, "");
    EXPECT_EQ(answer.status, status) << answer.body;
    return OrderedJson::parse(answer.body, nullptr, false);
  }
  // The objects of a stream, without [DONE], which must be its end.
  std::vector<OrderedJson> Stream(const std::string& path, OrderedJson body) {
    body["stream"] = true;
    std::string text = Ask("POST", path, body.dump()).body;
    std::vector<OrderedJson> chunks;
    size_t at = 0;
    bool done = false;
    while ((at = text.find("data: ", at)) != std::string::npos) {
      const size_t end = text.find("\n\n", at);
      const std::string data = text.substr(at + 6, end - at - 6);
      done = data == "[DONE]";
      if (!done) chunks.push_back(OrderedJson::parse(data));
      at = end;
    }
    EXPECT_TRUE(done) << text;
    return chunks;
  }

  RandomModel model_;
  TemporaryFolder root_{"adapters"};
  std::shared_ptr<const LoadedModel> loaded_;
  ServerOptions options_;
  std::unique_ptr<Server> server_;
};

TEST_F(ServerTest, ModelsAdaptersAndHealth) {
  options_.adapters = {{"mine", root_ / "good"}};
  Start();
  EXPECT_EQ(Get("/health")["status"], "ok");
  const OrderedJson list = Get("/v1/models");
  ASSERT_EQ(list["data"].size(), 2U);
  EXPECT_EQ(list["data"][0]["id"], "tiny");
  EXPECT_EQ(list["data"][1]["id"], "mine");
  EXPECT_EQ(list["data"][1]["parent"], "tiny");
  EXPECT_EQ(Get("/v1/models/mine")["root"], root_ / "good");
  EXPECT_EQ(Get("/v1/models/nobody", 404)["error"]["code"], "model_not_found");
  EXPECT_EQ(Get("/oai/api/v1/models"), list);

  Post("/v1/load_lora_adapter", {{"lora_name", "late"}, {"lora_path", "other"}});
  EXPECT_EQ(Get("/v1/models")["data"].size(), 3U);
  Post("/v1/load_lora_adapter", {{"lora_name", "late"}, {"lora_path", "other"}}, 400);
  Post("/v1/load_lora_adapter", {{"lora_name", "x"}, {"lora_path", "nothing"}}, 404);
  Post("/v1/load_lora_adapter", {{"lora_name", "x"}, {"lora_path", "../"}}, 403);
  Post("/v1/load_lora_adapter", {{"lora_name", "x"}, {"lora_path", "/etc"}}, 403);
  Post("/v1/unload_lora_adapter", {{"lora_name", "late"}});
  Post("/v1/unload_lora_adapter", {{"lora_name", "late"}}, 404);
  EXPECT_THAT(Ask("GET", "/metrics", "").body, HasSubstr("lorikeet_adapters 1\n"));
}

TEST_F(ServerTest, AdaptersByPathAreRefusedWithoutARoot) {
  options_.adapter_root.clear();
  Start();
  Post("/v1/load_lora_adapter", {{"lora_name", "x"}, {"lora_path", root_ / "good"}}, 403);
}

TEST_F(ServerTest, AnswersAreThoseOfAGenerator) {
  options_.adapters = {{"mine", root_ / "good"}};
  Start();
  const OrderedJson request = {{"model", "mine"},
                               {"prompt", {5, 6, 7, 8}},
                               {"max_tokens", 12},
                               {"temperature", 1},
                               {"seed", 9},
                               {"n", 2},
                               {"logprobs", 1},
                               {"ignore_eos", true},
                               {"return_token_ids", true}};
  const OrderedJson answer = Post("/v1/completions", request);
  const LoraAdapter adapter = LoraAdapter::Load(*loaded_->model, root_ / "good");
  Generator generator(*loaded_->model, {.slots = 1, .capacity = 64});
  for (uint64_t key = 0; key < 2; ++key) {
    GenerateRequest alone;
    alone.prompt = {5, 6, 7, 8};
    alone.params = {.max_tokens = 12, .temperature = 1, .seed = 9};
    alone.adapter = adapter.SharedWeights();
    alone.key = key;
    const Generation expected = generator.Run({alone}).front();
    const OrderedJson& choice = answer["choices"][key];
    EXPECT_EQ(choice["index"], key);
    EXPECT_EQ(choice["token_ids"], OrderedJson(expected.tokens));
    EXPECT_EQ(choice["logprobs"]["token_logprobs"], OrderedJson(expected.logprobs));
  }
  EXPECT_EQ(answer["usage"]["completion_tokens"], 24);
  const OrderedJson base = Post("/v1/completions", {{"prompt", {5, 6, 7, 8}},
                                                    {"max_tokens", 12},
                                                    {"temperature", 0},
                                                    {"return_token_ids", true}});
  EXPECT_NE(base["choices"][0]["token_ids"], answer["choices"][0]["token_ids"]);
}

TEST_F(ServerTest, EchoScoresThePrompt) {
  Start();
  const OrderedJson answer = Post("/v1/completions", {{"prompt", {"abc", "hello"}},
                                                      {"max_tokens", 1},
                                                      {"temperature", 0},
                                                      {"echo", true},
                                                      {"logprobs", 1}});
  ASSERT_EQ(answer["choices"].size(), 2U);
  const OrderedJson& logprobs = answer["choices"][1]["logprobs"];
  std::string text;
  for (const OrderedJson& token : logprobs["tokens"]) text += token.get<std::string>();
  EXPECT_EQ(text.substr(text.find('h'), 5), "hello");
  EXPECT_TRUE(logprobs["token_logprobs"][0].is_null());
  for (size_t i = 1; i < logprobs["tokens"].size(); ++i) {
    const float own = logprobs["token_logprobs"][i].get<float>();
    float best = own;
    for (const auto& [token, value] : logprobs["top_logprobs"][i].items()) {
      best = std::max(best, value.get<float>());
    }
    EXPECT_LE(own, best);
    EXPECT_LT(best, 0);
  }
  const OrderedJson only = Post(
      "/v1/completions", {{"prompt", "hello"}, {"max_tokens", 0}, {"echo", true}, {"logprobs", 1}});
  OrderedJson scored = logprobs["token_logprobs"];
  scored.erase(scored.size() - 1);
  EXPECT_EQ(only["choices"][0]["logprobs"]["token_logprobs"], scored);
}

TEST_F(ServerTest, StreamsHaveTheTextOfWholeAnswers) {
  Start();
  const OrderedJson request = {{"messages", {{{"role", "user"}, {"content", "say ab"}}}},
                               {"max_tokens", 30},
                               {"temperature", 1},
                               {"seed", 3},
                               {"n", 2},
                               {"logprobs", true},
                               {"top_logprobs", 2}};
  const OrderedJson whole = Post("/v1/chat/completions", request);
  OrderedJson streamed = request;
  streamed["stream_options"] = {{"include_usage", true}};
  const std::vector<OrderedJson> chunks = Stream("/v1/chat/completions", streamed);
  std::vector<std::string> texts(2), reasons(2);
  std::vector<OrderedJson> tokens(2, OrderedJson::array());
  for (const OrderedJson& chunk : chunks) {
    for (const OrderedJson& choice : chunk["choices"]) {
      const auto i = choice["index"].get<size_t>();
      texts[i] += choice["delta"].value("content", "");
      if (!choice["finish_reason"].is_null()) reasons[i] = choice["finish_reason"];
      if (choice["logprobs"].is_null()) continue;
      for (const OrderedJson& token : choice["logprobs"]["content"]) tokens[i].push_back(token);
    }
  }
  for (size_t i = 0; i < 2; ++i) {
    const OrderedJson& choice = whole["choices"][i];
    EXPECT_EQ(texts[i], choice["message"]["content"]);
    EXPECT_EQ(reasons[i], choice["finish_reason"]);
    EXPECT_EQ(tokens[i], choice["logprobs"]["content"]);
  }
  EXPECT_EQ(chunks[0]["choices"][0]["delta"]["role"], "assistant");
  OrderedJson usage = chunks.back()["usage"], expected = whole["usage"];
  EXPECT_GT(usage["prompt_tokens_details"]["cached_tokens"], 0);  // the same prompt again
  usage.erase("prompt_tokens_details");
  expected.erase("prompt_tokens_details");
  EXPECT_EQ(usage, expected);
}

TEST_F(ServerTest, StopStringsEndAnswersAndAreLeftOut) {
  Start();
  OrderedJson request = {
      {"prompt", "abc"}, {"max_tokens", 40}, {"temperature", 0}, {"ignore_eos", true}};
  const std::string text = Post("/v1/completions", request)["choices"][0]["text"];
  size_t at = 2;  // a character that ASCII has
  while (at < text.size() && static_cast<unsigned char>(text[at]) >= 0x80) ++at;
  ASSERT_LT(at, text.size());
  const std::string stop = text.substr(at, 1);
  request["stop"] = {nullptr, stop};
  const OrderedJson stopped = Post("/v1/completions", request)["choices"][0];
  EXPECT_EQ(stopped["finish_reason"], "stop");
  EXPECT_EQ(stopped["text"], text.substr(0, text.find(stop)));
  request["include_stop_str_in_output"] = true;
  EXPECT_EQ(Post("/v1/completions", request)["choices"][0]["text"],
            text.substr(0, text.find(stop) + 1));
}

TEST_F(ServerTest, JsonIsForcedByAGrammar) {
  Start();
  const OrderedJson schema = {{"type", "object"},
                              {"properties", {{"ok", {{"type", "boolean"}}}}},
                              {"required", {"ok"}},
                              {"additionalProperties", false}};
  for (int seed = 0; seed < 5; ++seed) {
    const OrderedJson answer =
        Post("/v1/chat/completions",
             {{"messages", {{{"role", "user"}, {"content", "say"}}}},
              {"max_tokens", 60},
              {"temperature", 1},
              {"seed", seed},
              {"response_format",
               {{"type", "json_schema"}, {"json_schema", {{"name", "x"}, {"schema", schema}}}}}});
    const std::string text = answer["choices"][0]["message"]["content"];
    const OrderedJson value = OrderedJson::parse(text, nullptr, false);
    ASSERT_TRUE(value.is_object()) << text;
    EXPECT_TRUE(value["ok"].is_boolean());
    EXPECT_EQ(answer["choices"][0]["finish_reason"], "stop");
  }
}

TEST_F(ServerTest, WhatIsNotOfferedIsRefusedByName) {
  Start();
  const auto message = [&](const OrderedJson& more, int status = 400) {
    OrderedJson request = {{"prompt", "abc"}, {"max_tokens", 1}};
    request.update(more);
    const OrderedJson answer = Post("/v1/completions", request, status);
    return answer["error"]["message"].get<std::string>();
  };
  EXPECT_THAT(message({{"repetition_penalty", 1.1}}), HasSubstr("repetition_penalty"));
  EXPECT_THAT(message({{"wish", 1}}), HasSubstr("unknown field: wish"));
  EXPECT_THAT(message({{"temperature", "hot"}}), HasSubstr("temperature must be a number"));
  EXPECT_THAT(message({{"model", "nobody"}}, 404), HasSubstr("'nobody' is not served"));
  EXPECT_THAT(message({{"prompt", {1, 100000}}}), HasSubstr("not a token id"));
  EXPECT_THAT(message({{"max_tokens", 5000}}), HasSubstr("the context holds 256 tokens"));
  EXPECT_THAT(message({{"prompt", nullptr}}), HasSubstr("prompt is missing"));
  EXPECT_THAT(message({{"stream_options", {{"include_usage", true}}}}), HasSubstr("stream: true"));
  EXPECT_EQ(Ask("POST", "/v1/completions", "{\"prompt\": ").status, 400);
  EXPECT_EQ(Ask("POST", "/v1/completions", std::string(100000, '[')).status, 400);
  EXPECT_EQ(Ask("POST", "/v1/completions", "{\"prompt\": \"\xff\"}").status, 400);
  EXPECT_EQ(Ask("GET", "/v1/completions", "").status, 405);
  EXPECT_EQ(Ask("GET", "/v1/nothing", "").status, 404);
}

TEST_F(ServerTest, AKeyIsAskedForWhereThereIsOne) {
  options_.api_key = "secret";
  Start();
  EXPECT_EQ(Ask("GET", "/v1/models", "").status, 401);
  EXPECT_EQ(Ask("GET", "/v1/models", "", "Authorization: Bearer secre\r\n").status, 401);
  EXPECT_EQ(Ask("GET", "/v1/models", "", "Authorization: Bearer secret\r\n").status, 200);
  EXPECT_EQ(Ask("GET", "/v1/models", "", "X-API-Key: secret\r\n").status, 200);
  EXPECT_EQ(Ask("GET", "/health", "").status, 200);
}

TEST_F(ServerTest, TextsAndTokensBothWays) {
  Start();
  const OrderedJson theirs = Post("/tokenize", {{"prompt", "hello"}});
  const OrderedJson plain = Post("/tokenize", {{"content", "hello"}});
  EXPECT_EQ(theirs["count"], theirs["tokens"].size());
  EXPECT_EQ(Post("/detokenize", {{"tokens", plain["tokens"]}})["content"], "hello");
  Post("/detokenize", {{"tokens", {-1}}}, 400);
}

TEST_F(ServerTest, AClientThatLeavesIsNotAnsweredToTheEnd) {
  options_.limits.capacity = 200;
  Start();
  {
    TestClient client(server_->port());
    const std::string body =
        R"({"prompt": "abc", "max_tokens": 150, "n": 60, "ignore_eos": true, "stream": true})";
    client.Send("POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: " +
                std::to_string(body.size()) + "\r\n\r\n" + body);
    client.ReadUntil("data: ");
  }
  // Its sequences end, so that a later request is answered and the figures say so.
  Post("/v1/completions", {{"prompt", "abc"}, {"max_tokens", 1}});
  std::string metrics;
  for (int i = 0; i < 1000; ++i) {
    metrics = Ask("GET", "/metrics", "").body;
    if (metrics.find("lorikeet_sequences_running 0\n") != std::string::npos) break;
  }
  EXPECT_THAT(metrics, HasSubstr("lorikeet_sequences_running 0\n"));
  EXPECT_THAT(metrics, ::testing::Not(HasSubstr("lorikeet_sequences_cancelled_total 0\n")));
}

TEST_F(ServerTest, AJobFromUploadToAnswer) {
  options_.state_dir = root_ / "state";
  options_.model_path = model_.path();
  options_.dtype = "f32";
  Start();
  std::string data;
  for (int i = 0; i < 8; ++i) {
    data += R"({"messages": [{"role": "user", "content": "say"}, )"
            R"({"role": "assistant", "content": "ab"}]})"
            "\n";
  }
  const std::string body =
      "--B\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nfine-tune\r\n--B\r\n"
      "Content-Disposition: form-data; name=\"file\"; filename=\"../../x.jsonl\"\r\n\r\n" +
      data + "\r\n--B--\r\n";
  const TestAnswer uploaded =
      Ask("POST", "/v1/files", body, "Content-Type: multipart/form-data; boundary=B\r\n");
  ASSERT_EQ(uploaded.status, 200) << uploaded.body;
  const OrderedJson file = OrderedJson::parse(uploaded.body);
  EXPECT_EQ(file["bytes"], data.size());
  EXPECT_EQ(Ask("GET", "/v1/files/" + file["id"].get<std::string>() + "/content", "").body, data);
  EXPECT_EQ(Get("/v1/files")["data"][0], file);

  OrderedJson request = {
      {"model", "tiny"},
      {"training_file", file["id"]},
      {"suffix", "x"},
      {"seed", 3},
      {"method",
       {{"type", "supervised"}, {"supervised", {{"hyperparameters", {{"n_epochs", 2}}}}}}}};
  OrderedJson job = Post("/v1/fine_tuning/jobs", request);
  EXPECT_EQ(job["object"], "fine_tuning.job");
  EXPECT_EQ(job["hyperparameters"]["batch_size"], "auto");
  const std::string path = "/v1/fine_tuning/jobs/" + job["id"].get<std::string>();
  while (job["finished_at"].is_null()) job = Get(path);
  ASSERT_EQ(job["status"], "succeeded") << job.dump();
  EXPECT_EQ(Get("/v1/fine_tuning/jobs")["data"][0], job);
  EXPECT_GT(Get(path + "/events?limit=100")["data"].size(), 5U);
  EXPECT_EQ(Get(path + "/checkpoints")["data"][0]["fine_tuning_job_id"], job["id"]);
  const OrderedJson answer =
      Post("/v1/chat/completions", {{"model", job["fine_tuned_model"]},
                                    {"messages", {{{"role", "user"}, {"content", "say"}}}},
                                    {"max_tokens", 2}});
  EXPECT_EQ(answer["model"], job["fine_tuned_model"]);
  const std::string results = job["result_files"][0];
  EXPECT_THAT(Ask("GET", "/v1/files/" + results + "/content", "").body,
              HasSubstr("step,train_loss"));

  request["training_file"] = "file-none";
  Post("/v1/fine_tuning/jobs", request, 400);
  request["training_file"] = file["id"];
  request["method"]["type"] = "dpo";
  EXPECT_THAT(Post("/v1/fine_tuning/jobs", request, 400)["error"]["message"].get<std::string>(),
              HasSubstr("'dpo' is not supported"));
  Get("/v1/fine_tuning/jobs/..%2F..%2Fx", 404);
  Get("/v1/files/..%2Fstate.sqlite/content", 404);
  EXPECT_EQ(Ask("DELETE", "/v1/files/" + results, "").status, 200);
  EXPECT_EQ(Ask("DELETE", "/v1/files/" + results, "").status, 404);
  EXPECT_EQ(Ask("POST", path + "/cancel", "").status, 400);
}

TEST_F(ServerTest, NamesThatAreTakenAreRefusedAtStart) {
  options_.adapters = {{"a", root_ / "good"}, {"a", root_ / "other"}};
  EXPECT_THROW(Start(), Error);
  options_.adapters = {{"tiny", root_ / "good"}};
  EXPECT_THROW(Start(), Error);
}

}  // namespace
}  // namespace lorikeet
