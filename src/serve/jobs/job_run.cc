#include "serve/jobs/job_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/file.h"
#include "options/args.h"
#include "recipes/sft_job.h"
#include "serve/jobs/job_settings.h"
#include "train/checkpoint.h"
#include "train/run_settings.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;

// Data files of the run, under names that say what they are. Hard links: a file that a client
// deletes meanwhile stays there for the job.
std::string LinkFile(const StateStore& store, const std::string& id, const std::string& dir,
                     const char* name) {
  const std::string path = dir + "/" + name;
  std::error_code error;
  if (fs::exists(path, error)) return path;
  fs::create_hard_link(store.FilePath(id), path, error);
  if (error) Fail(ErrorCode::kIo, "{}: cannot link the file {}: {}", path, id, error.message());
  return path;
}

SftOptions OptionsOf(const StoredJob& job, const JobRunContext& context, const std::string& dir) {
  SftOptions options;
  SetDefaults(options);
  options.model = context.model;
  options.dtype = context.dtype;
  options.data = {LinkFile(context.store, job.training_file, dir, "train.jsonl")};
  if (job.validation_file) {
    options.eval_data = {LinkFile(context.store, *job.validation_file, dir, "validation.jsonl")};
  }
  options.run.steps.seed = job.seed;
  options.output.output_dir = dir + "/run";
  options.output.resume = true;
  options.output.save_steps = context.save_steps;
  options.output.report_to = "none";
  options.common.quiet = true;
  return options;
}

JobEvent MessageOf(const StoredJob& job, std::string message) {
  JobEvent event;
  event.job = job.id;
  event.message = std::move(message);
  return event;
}

// Names of OpenAI's metrics.
std::string ApiName(const std::string& metric) {
  if (metric == "loss") return "train_loss";
  if (metric == "eval_loss") return "full_valid_loss";
  return metric;
}

JobEvent MetricsOf(const StoredJob& job, int64_t step, int64_t total, const Metrics& metrics) {
  JobEvent event;
  event.job = job.id;
  event.type = EventType::kMetrics;
  event.message = fmt::format("Step {}/{}", step, total);
  event.data = {{"step", step}, {"total_steps", total}};
  for (const auto& [name, value] : metrics) {
    event.data[ApiName(name)] = std::isfinite(value) ? Json(value) : Json();
    if (name == "loss") event.message += fmt::format(": training loss={:.4f}", value);
    if (name == "eval_loss") event.message += fmt::format(": validation loss={:.4f}", value);
  }
  return event;
}

// metrics.csv: step, train_loss, valid_loss of every step.
std::string MetricsCsv(const std::string& run_dir) {
  std::string csv = "step,train_loss,valid_loss,learning_rate\n";
  const std::string lines = ReadFile(run_dir + "/metrics.jsonl");
  const auto text = [](const Json& line, const char* key) {
    return line.contains(key) && line[key].is_number() ? line[key].dump() : std::string();
  };
  for (size_t begin = 0; begin < lines.size();) {
    const size_t end = std::min(lines.find('\n', begin), lines.size());
    const Json line = Json::parse(lines.substr(begin, end - begin), nullptr, false);
    begin = end + 1;
    if (!line.is_object()) continue;
    csv += fmt::format("{},{},{},{}\n", text(line, "step"), text(line, "loss"),
                       text(line, "eval_loss"), text(line, "learning_rate"));
  }
  return csv;
}

std::string AddResultFile(const StoredJob& job, StateStore& store, const std::string& csv) {
  BlobWriter blob = store.NewBlob();
  blob.Write(csv);
  StoredFile file;
  file.filename = "metrics.csv";
  file.purpose = "fine-tune-results";
  file.status = FileStatus::kProcessed;
  file.owner = job.owner;
  return store.AddFile(std::move(blob), std::move(file)).id;
}

// "ft:BASE:SUFFIX:ID", as the hosted API names them; ID is the end of the job's.
std::string ModelName(const StoredJob& job, const std::string& base) {
  return fmt::format("ft:{}:{}:{}", base, job.suffix.value_or(""),
                     job.id.substr(job.id.size() - std::min<size_t>(job.id.size(), 8)));
}

// Checkpoints that are left beside the result, each a model that can be asked for.
void AddCheckpoints(const StoredJob& job, const std::string& run_dir, const StoredAdapter& result,
                    int64_t last_step, StateStore& store, JobUpdate* update) {
  for (const CheckpointRef& checkpoint : ListCheckpoints(run_dir)) {
    JobCheckpoint added;
    added.job = job.id;
    added.step_number = checkpoint.step;
    added.metrics = {{"step", checkpoint.step}};
    added.fine_tuned_model_checkpoint = result.name;
    if (checkpoint.step != last_step) {
      StoredAdapter adapter = result;
      adapter.name = fmt::format("{}:ckpt-step-{}", result.name, checkpoint.step);
      adapter.path = checkpoint.dir;
      added.fine_tuned_model_checkpoint = adapter.name;
      update->adapters.push_back(std::move(adapter));
    }
    store.AddCheckpoint(std::move(added));
  }
}

SftHooks HooksOf(const StoredJob& job, const JobRunContext& context, const SftJob& sft) {
  SftHooks hooks;
  hooks.loop.save_text_files = [&sft](const std::string& dir) {
    WriteTextFiles(sft.text_files, dir);
  };
  hooks.loop.stop_requested = [&context] { return context.stop.load(); };
  hooks.loop.on_metrics = [&job, &context](int64_t step, int64_t total, const Metrics& metrics) {
    context.store.AddEvent(MetricsOf(job, step, total, metrics));
  };
  return hooks;
}

// A first look at the data, without the model: errors of rows, and their number.
int64_t CountExamples(const SftOptions& options, const LoadedModel& loaded) {
  const RenderConfig render = RenderConfigOf(std::get<Sft>(options.run.objective).rendering);
  return LoadExamples(options.data, loaded.ForData(), render).stats.examples;
}

}  // namespace

std::optional<JobUpdate> RunFineTuning(const StoredJob& job, const JobRunContext& context) {
  const std::string dir = context.store.JobDir(job.id);
  CreateFolders(dir);
  SftOptions options = OptionsOf(job, context, dir);
  const auto loaded = std::const_pointer_cast<LoadedModel>(context.models.loaded());
  const int64_t examples = CountExamples(options, *loaded);
  const JobSettings settings =
      JobSettings::Read(OrderedJson::parse(job.hyperparameters.dump()), "hyperparameters");
  std::vector<JobEvent> events;
  for (std::string& line :
       ApplyJobSettings(settings, examples, loaded->model->config(), &options)) {
    events.push_back(MessageOf(job, std::move(line)));
  }
  SftJob sft = PrepareSft(options, {.loaded = loaded, .workspace = nullptr, .peak_flops = 0});
  if (const std::string& from = sft.config.loop.resume_from; !from.empty()) {
    RequireSameSettings(ReadRunState(from).at("settings"), sft.config.settings, from);
    events = {MessageOf(job, fmt::format("resumed from step {}", sft.plan.steps_done))};
  }
  const std::optional<FolderLock> lock =
      BeginOutputDir(options.output.output_dir, sft.config.loop.resume_from.empty(),
                     sft.text_files.back(), sft.lock.has_value());
  for (const std::string& note : sft.train.stats.notes) events.push_back(MessageOf(job, note));
  JobUpdate begun;
  begun.events = std::move(events);
  begun.settings = Json{{"config", options.output.output_dir + "/config.yaml"}};
  if (!context.store.Transition(job.id, {JobStatus::kValidatingFiles}, JobStatus::kRunning,
                                begun)) {
    return std::nullopt;
  }
  SftResult result;
  {
    const EngineTurns::Training turn(context.turns);
    result = TrainSft(*sft.run, sft.train.examples, sft.heldout.examples, sft.config,
                      HooksOf(job, context, sft));
  }
  if (result.interrupted) return std::nullopt;
  if (!result.nothing_learned.empty()) {
    Fail(ErrorCode::kInvalidArgument, "{}", result.nothing_learned);
  }
  JobUpdate update;
  const StoredAdapter adapter{.name = ModelName(job, context.models.base()->name),
                              .path = options.output.output_dir,
                              .base = context.models.base()->name,
                              .rank = options.run.adapter.lora_r,
                              .job = job.id};
  update.fine_tuned_model = adapter.name;
  update.adapters = {adapter};
  update.trained_tokens = static_cast<int64_t>(std::llround(
      static_cast<double>(sft.plan.data.trained_tokens) * options.run.steps.num_train_epochs));
  update.result_files = {
      {AddResultFile(job, context.store, MetricsCsv(options.output.output_dir))}};
  AddCheckpoints(job, options.output.output_dir, adapter, result.steps, context.store, &update);
  update.events = {MessageOf(job, "New fine-tuned model created"),
                   MessageOf(job, "The job has successfully completed")};
  return update;
}

}  // namespace lorikeet
