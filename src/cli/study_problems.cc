#include "cli/study_problems.h"

#include <utility>

#include "core/error.h"
#include "data/render.h"
#include "verify/grader.h"
#include "verify/problem_file.h"

namespace lorikeet {
namespace {

constexpr uint64_t kHeldOutSeed = 42;  // the same problems are held out for every seed

std::vector<Problem> LoadRows(const std::vector<std::string>& files, const StudyOptions& options) {
  const std::string& grader = options.settings.rewards.rl.grader;
  CheckGrader(grader);
  std::vector<Problem> problems =
      LoadTaskFiles(files, grader, ColumnMap(options.rendering.data_columns, RowKind::kProblems));
  for (const Problem& problem : problems) {
    if (problem.grader != "none") continue;
    Fail(ErrorCode::kInvalidArgument,
         "{}: the grader 'none' grades nothing, and a study accepts no external rewards; give "
         "another --grader",
         problem.id);
  }
  return problems;
}

struct Problems {
  ProblemSource source;
  std::vector<Problem> heldout;
};

Problems ProblemsOf(const StudyOptions& options) {
  const RewardSettings& rewards = options.settings.rewards;
  const Rl& chosen = rewards.rl;
  if (chosen.task.empty() == options.data.empty()) {
    Fail(ErrorCode::kInvalidArgument,
         "study rl: give either --task (a generated one) or --data (problems of a file); `lorikeet "
         "rl --help` lists the tasks");
  }
  std::vector<Problem> heldout;
  if (!options.eval_data.empty()) heldout = LoadRows(options.eval_data, options);
  if (!chosen.task.empty()) {
    ProblemSource source = ProblemSource::Generated(chosen.task, chosen.difficulty);
    if (heldout.empty()) heldout = source.HeldOut(kHeldOutSeed, rewards.eval_problems);
    return {std::move(source), std::move(heldout)};
  }
  std::vector<Problem> rows = LoadRows(options.data, options);
  if (heldout.empty()) {
    auto parts = SplitProblems(std::move(rows), options.eval_split, kHeldOutSeed);
    rows = std::move(parts.first);
    heldout = std::move(parts.second);
  }
  return {ProblemSource::Rows(std::move(rows)), std::move(heldout)};
}

}  // namespace

void LoadProblems(const StudyOptions& options, LoadedModel& loaded, StudyModel* model) {
  auto [source, heldout] = ProblemsOf(options);
  const auto most = static_cast<size_t>(options.settings.rewards.eval_problems);
  if (heldout.size() > most) heldout.resize(most);
  std::optional<ChatTemplate> chat_template =
      ChooseChatTemplate(loaded.Text(), options.rendering.chat_template.value_or(""));
  if (!chat_template) {
    Fail(ErrorCode::kInvalidArgument,
         "{}: has no chat template to format problems as prompts; give --chat-template plain "
         "for a base model, chatml, or a Jinja file",
         model->path);
  }
  std::vector<std::string> stop_strings = options.settings.rewards.rl.stop;
  AddStopStrings(*chat_template, &stop_strings);
  auto problems = std::make_shared<StudyProblems>(
      StudyProblems{std::move(source), std::move(*loaded.tokenizer), std::move(*chat_template),
                    std::move(stop_strings), TemplateVariablesOf(options.rendering),
                    options.rendering.date.value_or("")});
  const std::span<const Problem> rows = problems->source.rows();
  options.common.PrintNotes(PromptNotes(problems->Format(), rows));
  if (!options.eval_data.empty()) {
    options.common.PrintNotes(PromptNotes(problems->Format(), heldout));
  }
  model->data_fingerprint = FingerprintOf(*problems, heldout);
  model->prompt_tokens = MeanPrompt(*problems, heldout);
  model->problems = std::move(problems);
  model->heldout_problems = std::move(heldout);
}

}  // namespace lorikeet
