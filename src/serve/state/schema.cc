#include "serve/state/schema.h"

#include <array>

namespace lorikeet {
namespace {

// `seq` numbers the rows of a table in the order in which they were added, which is the order of
// lists. Objects refer to files by id without a foreign key: a file may be deleted while a job that
// used it stays. JSON is stored as text.
constexpr std::string_view kFirst = R"sql(
CREATE TABLE files(
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  filename TEXT NOT NULL,
  purpose TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  crc32c INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  status TEXT NOT NULL,
  status_details TEXT,
  owner TEXT NOT NULL,
  missing INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX files_expiring ON files(expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE jobs(
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  created_at INTEGER NOT NULL,
  finished_at INTEGER,
  estimated_finish INTEGER,
  status TEXT NOT NULL,
  model TEXT NOT NULL,
  fine_tuned_model TEXT,
  suffix TEXT,
  training_file TEXT NOT NULL,
  validation_file TEXT,
  hyperparameters TEXT,
  method TEXT,
  seed INTEGER NOT NULL,
  trained_tokens INTEGER,
  error TEXT,
  result_files TEXT NOT NULL,
  metadata TEXT,
  integrations TEXT,
  settings TEXT,
  owner TEXT NOT NULL
) STRICT;

CREATE TABLE events(
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  job INTEGER NOT NULL REFERENCES jobs(seq) ON DELETE CASCADE,
  created_at INTEGER NOT NULL,
  level TEXT NOT NULL,
  type TEXT NOT NULL,
  message TEXT NOT NULL,
  data TEXT
) STRICT;
CREATE INDEX events_of_job ON events(job);

CREATE TABLE checkpoints(
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  job INTEGER NOT NULL REFERENCES jobs(seq) ON DELETE CASCADE,
  created_at INTEGER NOT NULL,
  step_number INTEGER NOT NULL,
  fine_tuned_model_checkpoint TEXT NOT NULL,
  metrics TEXT,
  UNIQUE(job, step_number)
) STRICT;

CREATE TABLE adapters(
  seq INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  path TEXT NOT NULL,
  base TEXT NOT NULL,
  rank INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  job INTEGER REFERENCES jobs(seq) ON DELETE SET NULL
) STRICT;
CREATE INDEX adapters_of_job ON adapters(job);
)sql";

constexpr std::array kMigrations = {kFirst};

}  // namespace

std::span<const std::string_view> StateMigrations() { return kMigrations; }

}  // namespace lorikeet
