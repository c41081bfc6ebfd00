#include "serve/openai/files.h"

#include <charconv>
#include <utility>

#include "serve/api_error.h"
#include "serve/http/multipart.h"

namespace lorikeet {
namespace {

OrderedJson FileJson(const StoredFile& file) {
  OrderedJson json = {{"id", file.id},
                      {"object", "file"},
                      {"bytes", file.bytes},
                      {"created_at", file.created_at},
                      {"filename", file.filename},
                      {"purpose", file.purpose},
                      {"status", std::string(NameOf(file.status))}};
  if (file.expires_at) json["expires_at"] = *file.expires_at;
  if (file.status_details) json["status_details"] = *file.status_details;
  return json;
}

StoredFile Need(const StateStore& store, const std::string& id) {
  std::optional<StoredFile> file = store.GetFile(id);
  if (!file) Refuse(404, "file_id", "there is no file '{}'", id);
  return *std::move(file);
}

std::string_view NeedPart(const std::vector<FormPart>& parts, const char* name) {
  const FormPart* part = FindPart(parts, name);
  if (part == nullptr) Refuse(400, name, "{} is missing in the form", name);
  return part->content;
}

}  // namespace

PageRequest ReadPage(const HttpRequest& http, int64_t default_limit, int64_t max_limit) {
  PageRequest page{.after = http.Query("after"), .limit = default_limit, .ascending = false};
  const std::string limit = http.Query("limit"), order = http.Query("order", "desc");
  if (!limit.empty()) {
    const auto [end, error] =
        std::from_chars(limit.data(), limit.data() + limit.size(), page.limit);
    if (error != std::errc() || end != limit.data() + limit.size() || page.limit < 1 ||
        page.limit > max_limit) {
      Refuse(400, "limit", "limit must be from 1 to {}, not '{}'", max_limit, limit);
    }
  }
  if (order != "asc" && order != "desc") Refuse(400, "order", "order must be asc or desc");
  page.ascending = order == "asc";
  return page;
}

OrderedJson UploadFile(StateStore& store, const ServeRequest& request) {
  const std::vector<FormPart> parts =
      ParseMultipart(request.http.Header("Content-Type"), request.http.body);
  const std::string purpose(NeedPart(parts, "purpose"));
  if (purpose != "fine-tune") {
    Refuse(400, "purpose", "purpose: '{}' is not supported, only fine-tune", purpose);
  }
  const std::string_view content = NeedPart(parts, "file");
  if (content.empty()) Refuse(400, "file", "file: is empty");
  for (const FormPart& part : parts) {
    if (part.name != "purpose" && part.name != "file") {
      Refuse(400, part.name, "unknown field: {}", part.name);
    }
  }
  BlobWriter blob = store.NewBlob();
  blob.Write(content);
  StoredFile file;
  file.filename = FindPart(parts, "file")->filename.value_or("data.jsonl");
  file.purpose = purpose;
  file.status = FileStatus::kProcessed;
  return FileJson(store.AddFile(std::move(blob), std::move(file)));
}

OrderedJson ListFiles(const StateStore& store, const ServeRequest& request) {
  const std::string purpose = request.http.Query("purpose");
  const Page<StoredFile> page =
      store.ListFiles(ReadPage(request.http, 10000, 10000),
                      purpose.empty() ? std::nullopt : std::optional(purpose));
  OrderedJson data = OrderedJson::array();
  for (const StoredFile& file : page.data) data.push_back(FileJson(file));
  OrderedJson json = {{"object", "list"}, {"data", data}, {"has_more", page.has_more}};
  json["first_id"] = page.data.empty() ? OrderedJson() : OrderedJson(page.data.front().id);
  json["last_id"] = page.data.empty() ? OrderedJson() : OrderedJson(page.data.back().id);
  return json;
}

OrderedJson RetrieveFile(const StateStore& store, const std::string& id) {
  return FileJson(Need(store, id));
}

OrderedJson DeleteFile(StateStore& store, const std::string& id) {
  if (!store.DeleteFile(id)) Refuse(404, "file_id", "there is no file '{}'", id);
  return {{"id", id}, {"object", "file"}, {"deleted", true}};
}

void SendFileContent(const StateStore& store, const std::string& id, HttpReply& reply) {
  Need(store, id);
  const Blob blob = store.OpenBlob(id);
  std::string content(static_cast<size_t>(blob.bytes()), '\0');
  content.resize(blob.ReadAt(0, content.data(), content.size()));
  reply.Send(
      {.status = 200, .content_type = "application/octet-stream", .body = std::move(content)});
}

}  // namespace lorikeet
