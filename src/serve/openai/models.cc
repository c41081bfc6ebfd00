#include "serve/openai/models.h"

#include <fmt/format.h>

#include <filesystem>

#include "serve/api_error.h"
#include "serve/openai/chat.h"
#include "serve/openai/completions.h"
#include "serve/request_fields.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;

OrderedJson ModelJson(const ServeContext& context, const ServedModel& model) {
  return {{"id", model.name},
          {"object", "model"},
          {"created", model.created},
          {"owned_by", "lorikeet"},
          {"root", model.root},
          {"parent", model.parent.empty() ? OrderedJson() : OrderedJson(model.parent)},
          {"max_model_len", context.sampling.limits().capacity}};
}

// The real path of `path`, which must be below `root` after symbolic links are resolved.
std::string PathBelow(const std::string& root, const std::string& path) {
  if (root.empty()) {
    Refuse(403, "lora_path",
           "adapters are loaded by path only if the server was started with --adapter-root DIR");
  }
  std::error_code error;
  const fs::path real_root = fs::canonical(root, error);
  const fs::path absolute = fs::path(path).is_absolute() ? fs::path(path) : real_root / path;
  const fs::path real = fs::canonical(absolute, error);
  if (error) Refuse(404, "lora_path", "lora_path: there is no '{}'", path);
  const fs::path relative = real.lexically_relative(real_root);
  if (relative.empty() || *relative.begin() == "..") {
    Refuse(403, "lora_path", "lora_path must be below the server's --adapter-root");
  }
  return real.string();
}

}  // namespace

OrderedJson ListModels(const ServeContext& context) {
  OrderedJson data = OrderedJson::array();
  for (const ServedModelPtr& model : context.models.List()) {
    data.push_back(ModelJson(context, *model));
  }
  return {{"object", "list"}, {"data", std::move(data)}};
}

OrderedJson RetrieveModel(const ServeContext& context, const std::string& name) {
  const ServedModelPtr model = name.empty() ? nullptr : context.models.Find(name);
  if (model == nullptr) {
    throw ApiError(404, fmt::format("the model '{}' is not served here", name), "model",
                   "model_not_found");
  }
  return ModelJson(context, *model);
}

std::string LoadAdapter(const ServeContext& context, const OrderedJson& request) {
  RequestFields fields(request);
  const std::string name = fields.NeedString("lora_name");
  const std::string path = PathBelow(context.adapter_root, fields.NeedString("lora_path"));
  const bool replace = fields.Bool("load_inplace").value_or(false);
  fields.Ignore({"base_model_name", "lora_int_id"});
  fields.RefuseOthers();
  context.models.Load(name, path, replace);
  return fmt::format("Success: LoRA adapter '{}' added successfully.", name);
}

std::string UnloadAdapter(const ServeContext& context, const OrderedJson& request) {
  RequestFields fields(request);
  const std::string name = fields.NeedString("lora_name");
  fields.Ignore({"lora_int_id"});
  fields.RefuseOthers();
  if (!context.models.Unload(name)) {
    Refuse(404, "lora_name", "the adapter '{}' is not served here", name);
  }
  return fmt::format("Success: LoRA adapter '{}' removed successfully.", name);
}

OrderedJson Tokenize(const ServeContext& context, const OrderedJson& request) {
  RequestFields fields(request);
  const ServedModelPtr model = ModelOf(context, fields);
  const ModelText& text = *model->text;
  const auto content = fields.String("content"), prompt = fields.String("prompt");
  const OrderedJson& messages = fields.Value("messages");
  std::vector<int32_t> ids;
  if (content) {
    const bool special = fields.Bool("add_special").value_or(false);
    fields.Ignore({"parse_special"});
    ids = special ? text.Encode(*content) : text.tokenizer().Encode(*content);
  } else if (prompt) {
    const bool special = fields.Bool("add_special_tokens").value_or(true);
    ids = special ? text.Encode(*prompt) : text.tokenizer().Encode(*prompt);
  } else if (!messages.is_null()) {
    ids = text.Encode(text.Render(ReadMessages(messages)));
    fields.Bool("add_special_tokens");
  } else {
    Refuse(400, "prompt", "give content, prompt or messages");
  }
  const bool pieces = fields.Bool("with_pieces").value_or(false) ||
                      fields.Bool("return_token_strs").value_or(false);
  fields.RefuseOthers();
  OrderedJson answer = {{"tokens", ids},
                        {"count", ids.size()},
                        {"max_model_len", context.sampling.limits().capacity}};
  if (!pieces) return answer;
  OrderedJson& strings = answer["token_strs"] = OrderedJson::array();
  for (const int32_t id : ids) strings.push_back(text.tokenizer().Decode(std::span(&id, 1)));
  return answer;
}

OrderedJson Detokenize(const ServeContext& context, const OrderedJson& request) {
  RequestFields fields(request);
  const ServedModelPtr model = ModelOf(context, fields);
  const int64_t vocab_size = context.models.model().config().vocab_size;
  std::vector<int32_t> ids;
  const OrderedJson& tokens = fields.Value("tokens");
  if (!tokens.is_array()) Refuse(400, "tokens", "tokens must be a list of token ids");
  for (const OrderedJson& id : tokens) {
    if (!id.is_number_integer() || id < 0 || id >= vocab_size) {
      Refuse(400, "tokens", "tokens: {} is not a token id below {}", id.dump(), vocab_size);
    }
    ids.push_back(id.get<int32_t>());
  }
  fields.RefuseOthers();
  const std::string text = model->text->tokenizer().Decode(ids);
  return {{"content", text}, {"prompt", text}};
}

}  // namespace lorikeet
