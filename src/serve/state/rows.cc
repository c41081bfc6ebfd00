#include "serve/state/rows.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "core/json_fields.h"
#include "core/text.h"
#include "core/utf8.h"

namespace lorikeet {
namespace {

constexpr std::string_view kMissingContent =
    "the content is missing from the folder of the server; restore it or upload the file again";

Json ReadJson(Statement& row) {
  const std::optional<std::string> text = row.OptionalText();
  return text ? ParseJson(*text, row.where()) : Json();
}

std::optional<JobError> ReadError(Statement& row) {
  const Json json = ReadJson(row);
  if (json.is_null()) return std::nullopt;
  const JsonFields fields(json, row.where());
  JobError error{.code = fields.String("code", ""), .message = fields.String("message", "")};
  if (fields.Has("param")) error.param = fields.String("param");
  return error;
}

std::vector<std::string> ReadStrings(Statement& row) {
  std::vector<std::string> strings;
  for (const Json& each : ReadJson(row)) {
    if (each.is_string()) strings.push_back(each.get<std::string>());
  }
  return strings;
}

}  // namespace

// Braces evaluate their parts from left to right: in the order of the columns.
StoredFile ReadFileRow(Statement& row) {
  StoredFile file{.id = row.Text(),
                  .filename = row.Text(),
                  .purpose = row.Text(),
                  .bytes = row.Int(),
                  .crc32c = static_cast<uint32_t>(row.Int()),
                  .created_at = row.Int(),
                  .expires_at = row.OptionalInt(),
                  .status = FileStatusNamed(row.Text(), row.where()),
                  .status_details = row.OptionalText(),
                  .owner = row.Text()};
  if (row.Int() != 0) {
    file.status = FileStatus::kError;
    file.status_details = kMissingContent;
  }
  return file;
}

StoredJob ReadJobRow(Statement& row) {
  return {.id = row.Text(),
          .created_at = row.Int(),
          .finished_at = row.OptionalInt(),
          .estimated_finish = row.OptionalInt(),
          .status = JobStatusNamed(row.Text(), row.where()),
          .model = row.Text(),
          .fine_tuned_model = row.OptionalText(),
          .suffix = row.OptionalText(),
          .training_file = row.Text(),
          .validation_file = row.OptionalText(),
          .hyperparameters = ReadJson(row),
          .method = ReadJson(row),
          .seed = row.Int(),
          .trained_tokens = row.OptionalInt(),
          .error = ReadError(row),
          .result_files = ReadStrings(row),
          .metadata = ReadJson(row),
          .integrations = ReadJson(row),
          .settings = ReadJson(row),
          .owner = row.Text()};
}

JobEvent ReadEventRow(Statement& row) {
  return {.id = row.Text(),
          .job = row.Text(),
          .created_at = row.Int(),
          .level = EventLevelNamed(row.Text(), row.where()),
          .type = EventTypeNamed(row.Text(), row.where()),
          .message = row.Text(),
          .data = ReadJson(row)};
}

JobCheckpoint ReadCheckpointRow(Statement& row) {
  return {.id = row.Text(),
          .job = row.Text(),
          .created_at = row.Int(),
          .step_number = row.Int(),
          .fine_tuned_model_checkpoint = row.Text(),
          .metrics = ReadJson(row)};
}

StoredAdapter ReadAdapterRow(Statement& row) {
  return {.name = row.Text(),
          .path = row.Text(),
          .base = row.Text(),
          .rank = row.Int(),
          .created_at = row.Int(),
          .job = row.OptionalText()};
}

SqlValue JsonValue(const Json& json) {
  if (json.is_null()) return nullptr;
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

SqlValue ErrorValue(const std::optional<JobError>& error) {
  if (!error) return nullptr;
  Json json = {{"code", error->code}, {"message", WithoutControls(error->message, "\n\t")}};
  if (error->param) json["param"] = *error->param;
  return JsonValue(json);
}

void CheckText(std::string_view field, std::string_view text, size_t max_bytes) {
  const bool control = std::any_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  });
  if (!text.empty() && text.size() <= max_bytes && !control && IsValidUtf8(text)) return;
  Fail(ErrorCode::kInvalidArgument,
       "{}: must be 1 to {} bytes of UTF-8 without control characters, got {} bytes; shorten or "
       "rename it",
       field, max_bytes, text.size());
}

}  // namespace lorikeet
