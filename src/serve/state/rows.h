// Columns of the tables and the records that their rows become; the readers take the columns in the
// order of the lists.
#pragma once
#include <string>
#include <string_view>

#include "serve/state/database.h"
#include "serve/state/records.h"

namespace lorikeet {

constexpr std::string_view kFileColumns =
    "id, filename, purpose, bytes, crc32c, created_at, expires_at, status, status_details, owner, "
    "missing";
constexpr std::string_view kJobColumns =
    "id, created_at, finished_at, estimated_finish, status, model, fine_tuned_model, suffix, "
    "training_file, validation_file, hyperparameters, method, seed, trained_tokens, error, "
    "result_files, metadata, integrations, settings, owner";
constexpr std::string_view kEventColumns =
    "id, (SELECT id FROM jobs WHERE seq = job), created_at, level, type, message, data";
constexpr std::string_view kCheckpointColumns =
    "id, (SELECT id FROM jobs WHERE seq = job), created_at, step_number, "
    "fine_tuned_model_checkpoint, metrics";
constexpr std::string_view kAdapterColumns =
    "name, path, base, rank, created_at, (SELECT id FROM jobs WHERE seq = job)";

StoredFile ReadFileRow(Statement& row);
StoredJob ReadJobRow(Statement& row);
JobEvent ReadEventRow(Statement& row);
JobCheckpoint ReadCheckpointRow(Statement& row);
StoredAdapter ReadAdapterRow(Statement& row);

// Values for columns. Text of `json`, null if it is null; ill-formed UTF-8 becomes U+FFFD.
SqlValue JsonValue(const Json& json);
SqlValue ErrorValue(const std::optional<JobError>& error);
// Throws Error(kInvalidArgument), which begins with `field`, unless `text` is UTF-8 of 1 to
// `max_bytes` bytes without control characters.
void CheckText(std::string_view field, std::string_view text, size_t max_bytes);

}  // namespace lorikeet
