#include "serve/jobs/job_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "recipes/prepare.h"
#include "serve/api_error.h"
#include "serve/request_fields.h"

namespace lorikeet {
namespace {

bool IsOpen(RequestFields& fields, const std::string& key) {
  const OrderedJson& value = fields.Value(key);
  return value.is_null() || value == "auto";
}

std::optional<double> Number(RequestFields& fields, const std::string& key, double min,
                             double max) {
  return IsOpen(fields, key) ? std::nullopt : fields.Number(key, min, max);
}

std::optional<int64_t> Whole(RequestFields& fields, const std::string& key, int64_t min,
                             int64_t max) {
  return IsOpen(fields, key) ? std::nullopt : fields.Int(key, min, max);
}

template <class T>
Json OrAuto(const std::optional<T>& value) {
  return value ? Json(*value) : Json("auto");
}

void ApplySteps(const JobSettings& settings, int64_t examples, Steps* steps,
                std::vector<std::string>* lines) {
  constexpr int64_t kSteps = 100, kMaxEpochs = 5, kMaxBatch = 16;
  steps->batch_size = settings.batch_size.value_or(std::clamp<int64_t>(examples / 4, 1, kMaxBatch));
  const int64_t per_epoch = std::max<int64_t>(examples / steps->batch_size, 1);
  steps->num_train_epochs = settings.n_epochs.value_or(static_cast<double>(
      std::clamp<int64_t>((kSteps + per_epoch - 1) / per_epoch, 1, kMaxEpochs)));
  lines->push_back(fmt::format("{} examples, {:g} epochs{}, batch size {}{}", examples,
                               steps->num_train_epochs, settings.n_epochs ? "" : " (auto)",
                               steps->batch_size, settings.batch_size ? "" : " (auto)"));
}

}  // namespace

JobSettings JobSettings::Read(const OrderedJson& json, const std::string& path) {
  JobSettings settings;
  if (json.is_null()) return settings;
  RequestFields fields(json, path);
  settings.n_epochs = Number(fields, "n_epochs", 1e-6, 1e4);
  settings.batch_size = Whole(fields, "batch_size", 1, 4096);
  settings.learning_rate_multiplier = Number(fields, "learning_rate_multiplier", 1e-6, 1e6);
  settings.learning_rate = Number(fields, "learning_rate", 1e-12, 1e3);
  settings.lora_r = Whole(fields, "lora_r", 1, 4096);
  settings.lora_alpha = Number(fields, "lora_alpha", 1e-6, 1e6);
  settings.target_modules = fields.Strings("target_modules");
  if (settings.learning_rate && settings.learning_rate_multiplier) {
    Refuse(400, path + ".learning_rate",
           "learning_rate and learning_rate_multiplier exclude each other; give one");
  }
  const std::string method = fields.String("method").value_or("lora");
  if (method != "lora") {
    Refuse(400, path + ".method",
           "{}.method: '{}' is not supported here: this server serves adapters; `lorikeet sft "
           "--method full` trains every weight",
           path, method);
  }
  fields.RefuseOthers();
  return settings;
}

Json JobSettings::ToJson() const {
  Json json = {{"n_epochs", OrAuto(n_epochs)},
               {"batch_size", OrAuto(batch_size)},
               {"learning_rate_multiplier", OrAuto(learning_rate_multiplier)}};
  if (learning_rate) json["learning_rate"] = *learning_rate;
  if (lora_r) json["lora_r"] = *lora_r;
  if (lora_alpha) json["lora_alpha"] = *lora_alpha;
  if (!target_modules.empty()) json["target_modules"] = target_modules;
  return json;
}

std::vector<std::string> ApplyJobSettings(const JobSettings& settings, int64_t examples,
                                          const ModelConfig& model, SftOptions* options) {
  std::vector<std::string> lines;
  Run& run = options->run;
  ApplySteps(settings, examples, &run.steps, &lines);
  if (settings.lora_r) run.adapter.lora_r = static_cast<int>(*settings.lora_r);
  if (settings.lora_alpha) run.adapter.lora_alpha = *settings.lora_alpha;
  if (!settings.target_modules.empty()) run.adapter.target_modules = settings.target_modules;
  lines.push_back(fmt::format("adapter of rank {}, alpha {:g}, on {}", run.adapter.lora_r,
                              run.adapter.lora_alpha, fmt::join(run.adapter.target_modules, ", ")));
  run.optimizer.learning_rate = settings.learning_rate;
  SftConfig config = SftConfigOf(run);
  const std::string reason = ChooseLearningRate(model, TotalSteps(config, examples), &run);
  const double multiplier = settings.learning_rate_multiplier.value_or(1);
  *run.optimizer.learning_rate *= multiplier;
  lines.push_back(
      fmt::format("learning rate {:.4g}{}{}", *run.optimizer.learning_rate,
                  multiplier == 1 ? "" : fmt::format(", {:g} times that of the rule", multiplier),
                  reason.empty() ? "" : ": " + reason));
  return lines;
}

}  // namespace lorikeet
