#include "serve/state/records.h"

#include <array>
#include <utility>

#include "core/check.h"
#include "core/error.h"
#include "core/text.h"

namespace lorikeet {
namespace {

template <class T, size_t n>
using Names = std::array<std::pair<T, std::string_view>, n>;

constexpr Names<FileStatus, 3> kFileStatuses = {{{FileStatus::kUploaded, "uploaded"},
                                                 {FileStatus::kProcessed, "processed"},
                                                 {FileStatus::kError, "error"}}};
constexpr Names<JobStatus, 7> kJobStatuses = {{{JobStatus::kValidatingFiles, "validating_files"},
                                               {JobStatus::kQueued, "queued"},
                                               {JobStatus::kRunning, "running"},
                                               {JobStatus::kPaused, "paused"},
                                               {JobStatus::kSucceeded, "succeeded"},
                                               {JobStatus::kFailed, "failed"},
                                               {JobStatus::kCancelled, "cancelled"}}};
constexpr Names<EventLevel, 3> kEventLevels = {
    {{EventLevel::kInfo, "info"}, {EventLevel::kWarn, "warn"}, {EventLevel::kError, "error"}}};
constexpr Names<EventType, 2> kEventTypes = {
    {{EventType::kMessage, "message"}, {EventType::kMetrics, "metrics"}}};

template <class T, size_t n>
std::string_view NameIn(const Names<T, n>& names, T value) {
  for (const auto& [each, name] : names) {
    if (each == value) return name;
  }
  CHECK(false);
}

template <class T, size_t n>
T ValueIn(const Names<T, n>& names, std::string_view name, const std::string& where) {
  for (const auto& [value, each] : names) {
    if (each == name) return value;
  }
  Fail(ErrorCode::kCorruptFile, "{}: unknown name {}; was it written by another version?", where,
       Quoted(name));
}

}  // namespace

std::string_view NameOf(FileStatus status) { return NameIn(kFileStatuses, status); }
std::string_view NameOf(JobStatus status) { return NameIn(kJobStatuses, status); }
std::string_view NameOf(EventLevel level) { return NameIn(kEventLevels, level); }
std::string_view NameOf(EventType type) { return NameIn(kEventTypes, type); }

FileStatus FileStatusNamed(std::string_view name, const std::string& where) {
  return ValueIn(kFileStatuses, name, where);
}
JobStatus JobStatusNamed(std::string_view name, const std::string& where) {
  return ValueIn(kJobStatuses, name, where);
}
EventLevel EventLevelNamed(std::string_view name, const std::string& where) {
  return ValueIn(kEventLevels, name, where);
}
EventType EventTypeNamed(std::string_view name, const std::string& where) {
  return ValueIn(kEventTypes, name, where);
}

bool HasEnded(JobStatus status) {
  return status == JobStatus::kSucceeded || status == JobStatus::kFailed ||
         status == JobStatus::kCancelled;
}

}  // namespace lorikeet
