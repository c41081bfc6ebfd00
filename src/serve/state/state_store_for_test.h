// Helpers of the tests of `StateStore`: files and jobs to add, and the error that a call throws.
#pragma once
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "core/error.h"
#include "serve/state/state_store.h"

namespace lorikeet {

inline StoredFile AddContent(StateStore& store, std::string_view content,
                             const std::string& filename = "train.jsonl") {
  BlobWriter blob = store.NewBlob();
  blob.Write(content);
  return store.AddFile(std::move(blob), {.filename = filename, .purpose = "fine-tune"});
}

inline StoredJob QueuedJob() {
  return {.status = JobStatus::kQueued, .model = "tiny", .training_file = "file-a"};
}

inline std::string ContentOf(const StateStore& store, std::string_view id) {
  const Blob blob = store.OpenBlob(id);
  std::string content(static_cast<size_t>(blob.bytes()), '\0');
  content.resize(blob.ReadAt(0, content.data(), content.size()));
  return content;
}

// Code and message of the Error that `call` throws; fails the test if there is none.
inline std::pair<ErrorCode, std::string> ErrorFrom(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(std::string_view(error.what()).find('\n'), std::string_view::npos) << error.what();
    return {error.code(), error.what()};
  }
  ADD_FAILURE() << "no error";
  return {ErrorCode::kDiverged, ""};
}

}  // namespace lorikeet
