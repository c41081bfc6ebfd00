// `MetricsWriter` writes the metrics of a run in two forms: metrics.jsonl (one JSON object per
// line) and a TensorBoard event file.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/tensorboard.h"

namespace lorikeet {

// Values by the names that dashboards know: loss, grad_norm, learning_rate, epoch, num_tokens,
// eval_loss, ...
using Metrics = std::vector<std::pair<std::string, double>>;

// {"step":12,"loss":2.5,...}\n. NaN and infinities, which JSON cannot express, become null.
std::string MetricsLine(int64_t step, const Metrics& metrics);

// TensorBoard's name of a metric, as other trainers write it: eval_loss -> eval/loss, loss ->
// train/loss; names with a slash stay.
std::string TensorBoardTag(const std::string& name);

class MetricsWriter {
 public:
  struct Settings {
    std::string dir;  // created if absent
    // > 0: a resumed run; lines of later steps (and a half-written last line) are dropped.
    int64_t steps_done = 0;
    int64_t lines_done = -1;  // >= 0: of those left, only so many are kept
    bool tensorboard = true;
  };
  // Throws Error(kIo) naming the file.
  explicit MetricsWriter(const Settings& settings);
  ~MetricsWriter();
  MetricsWriter(const MetricsWriter&) = delete;
  MetricsWriter& operator=(const MetricsWriter&) = delete;

  // One write(2) per record: records written before a kill are whole.
  void Write(int64_t step, const Metrics& metrics);
  // Flushes to disk, at checkpoints.
  void Sync();
  const std::string& path() const { return path_; }
  int64_t lines() const { return lines_; }  // number of lines in the file

 private:
  std::string path_;
  int fd_ = -1;
  int64_t lines_ = 0;
  std::unique_ptr<TensorBoardWriter> tensorboard_;
};

}  // namespace lorikeet
