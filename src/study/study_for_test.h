// Test helpers: finished runs with synthetic losses.
#pragma once
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "core/file.h"
#include "core/metrics.h"
#include "core/temporary_folder_for_test.h"
#include "options/args.h"
#include "study/ledger.h"
#include "study/settings.h"
#include "study/sweep.h"

namespace lorikeet {

// loss(rate, step, seed); not finite: the run has diverged before `step`.
using MadeUpLoss = std::function<double(const RunSpec& spec, int64_t step)>;

inline RunRecord MakeRecord(const RunSpec& spec, const MadeUpLoss& loss) {
  RunRecord record;
  record.spec = spec;
  record.id = RunId(spec);
  record.steps = spec.steps();
  std::set<int64_t> evaluated(spec.eval_at.begin(), spec.eval_at.end());
  evaluated.insert({0, spec.steps()});
  for (const int64_t step : evaluated) {
    const double value = loss(spec, step);
    if (!std::isfinite(value)) {
      record.diverged = true;
      record.steps = step - 1;
      break;
    }
    record.evals.push_back({.step = step, .loss = value});
  }
  record.losses.assign(static_cast<size_t>(record.steps), 1.0);
  record.step_seconds.assign(static_cast<size_t>(record.steps), 0.01);
  record.trainable = spec.full() ? 1000000 : 1000 * spec.run.adapter.lora_r;
  record.flops_per_token = 100;
  record.tokens = 100 * record.steps;
  record.facts = {{"model_type", "llama"},      {"hidden_size", 64},    {"vocab_size", 256},
                  {"parameters", 100000},       {"data_examples", 100}, {"data_tokens", 10000},
                  {"data_trained_tokens", 5000}};
  return record;
}

inline RunSpec MakeSpec(bool full, int rank, double rate, uint64_t seed, int64_t steps = 100) {
  RunSpec spec;
  spec.model = "model";
  spec.model_fingerprint = spec.data_fingerprint = "0";
  spec.run.adapter.method = full ? "full" : "lora";
  spec.run.adapter.lora_r = rank;
  spec.run.optimizer.learning_rate = rate;
  spec.run.steps.seed = seed;
  spec.run.steps.max_steps = steps;
  spec.eval_at = LogSpacedSteps(steps, 8);
  return spec;
}

// Writes the record to disk as the runner does.
inline void WriteRecord(const Ledger& ledger, const RunRecord& record) {
  ledger.Begin(record.spec);
  std::string lines;
  for (const EvalPoint& point : record.evals) {
    lines += MetricsLine(point.step, {{"eval_loss", point.loss}});
  }
  for (size_t i = 0; i < record.losses.size(); ++i) {
    lines += MetricsLine(static_cast<int64_t>(i) + 1,
                         {{"loss", record.losses[i]}, {"step_seconds", record.step_seconds[i]}});
  }
  WriteFileAtomically(ledger.RunDir(record.id) + "/metrics.jsonl", lines);
  ledger.Finish(record);
}

inline constexpr double kBest = 1e-3;

// Loss in a valley about the rate `best`, `lift` above the common curve; seeds differ a little.
inline double Valley(const RunSpec& spec, int64_t step, double best, double lift) {
  const double jitter = 0.01 * (static_cast<double>(spec.seed()) - 2);
  const double off = std::log10(spec.learning_rate() / best) + jitter;
  const double gain = std::log1p(static_cast<double>(step)) * (0.4 - 0.05 * off * off);
  return 4 + 0.1 * jitter - gain + (step > 0 ? lift : 0);
}

// Records of each condition at every rate of a grid about kBest, three seeds.
inline std::vector<RunRecord> Swept(const std::vector<RunSpec>& conditions,
                                    const MadeUpLoss& loss) {
  std::vector<RunRecord> records;
  for (RunSpec spec : conditions) {
    for (spec.run.steps.seed = 1; spec.seed() <= 3; ++spec.run.steps.seed) {
      for (int k = -15; k <= -3; ++k) {
        spec.run.optimizer.learning_rate = GridRate(k, 3);
        records.push_back(MakeRecord(spec, loss));
      }
    }
  }
  return records;
}

inline StudySettings DefaultSettings() {
  StudySettings settings;
  SetDefaults(settings);
  return settings;
}

}  // namespace lorikeet
