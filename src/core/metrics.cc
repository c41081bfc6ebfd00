#include "core/metrics.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"

namespace lorikeet {
namespace {

// The step of a line, or -1 if it is not a whole record.
int64_t StepOf(std::string_view line) {
  const Json json = Json::parse(line.begin(), line.end(), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return -1;
  const auto step = json.find("step");
  return step != json.end() && step->is_number_integer() ? step->get<int64_t>() : -1;
}

// The lines of the first `steps_done` steps, which a resumed run keeps; at most `max_lines` unless
// that is negative. An evaluation that followed the checkpoint has a line of its last step.
std::string KeptLines(const std::string& text, int64_t steps_done, int64_t max_lines) {
  std::string kept;
  int64_t lines = 0;
  size_t begin = 0;
  for (size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n', begin)) {
    const std::string_view line = std::string_view(text).substr(begin, end - begin);
    const int64_t step = StepOf(line);
    const bool wanted = step >= 0 && step <= steps_done && (max_lines < 0 || lines < max_lines);
    if (wanted) kept.append(line).append("\n");
    if (wanted) ++lines;
    begin = end + 1;
  }
  return kept;
}

}  // namespace

std::string MetricsLine(int64_t step, const Metrics& metrics) {
  OrderedJson json = {{"step", step}};
  constexpr double kExactIntegers = 9007199254740992.0;  // 2^53
  for (const auto& [name, value] : metrics) {
    if (std::isfinite(value) && value == std::floor(value) && std::abs(value) < kExactIntegers) {
      json[name] = static_cast<int64_t>(value);
    } else {
      json[name] = value;  // dumped as null if not finite
    }
  }
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
}

std::string TensorBoardTag(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  if (name.rfind("eval_", 0) == 0) return "eval/" + name.substr(5);
  return "train/" + name;
}

MetricsWriter::MetricsWriter(const Settings& settings) : path_(settings.dir + "/metrics.jsonl") {
  CreateFolders(settings.dir);
  const bool resumed = settings.steps_done > 0;
  if (resumed && std::filesystem::exists(path_)) {
    const std::string kept = KeptLines(ReadFile(path_), settings.steps_done, settings.lines_done);
    WriteFileAtomically(path_, kept);
    lines_ = std::count(kept.begin(), kept.end(), '\n');
  }
  fd_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | (resumed ? 0 : O_TRUNC),
             0644);
  if (fd_ < 0) Fail(ErrorCode::kIo, "{}: cannot write: {}", path_, std::strerror(errno));
  if (settings.tensorboard) {
    const int64_t first_step = resumed ? settings.steps_done + 1 : 0;
    tensorboard_ = std::make_unique<TensorBoardWriter>(settings.dir + "/runs", first_step);
  }
}

MetricsWriter::~MetricsWriter() {
  if (fd_ >= 0) close(fd_);
}

void MetricsWriter::Write(int64_t step, const Metrics& metrics) {
  const std::string line = MetricsLine(step, metrics);
  WriteAll(fd_, line.data(), line.size(), path_);
  ++lines_;
  if (tensorboard_ == nullptr) return;
  Metrics tagged = metrics;
  for (auto& [name, value] : tagged) name = TensorBoardTag(name);
  tensorboard_->Write(step, tagged);
}

void MetricsWriter::Sync() {
  if (fsync(fd_) != 0 && errno != EINVAL)
    Fail(ErrorCode::kIo, "{}: cannot sync: {}", path_, std::strerror(errno));
}

}  // namespace lorikeet
