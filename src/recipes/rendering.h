// `RenderingOptions` holds the options that decide how rows of data and prompts become tokens: the
// chat template and its variables, the trained tokens, and the treatment of long examples. They are
// the same in every command that renders.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/render.h"
#include "options/args.h"
#include "recipes/foreign_keys.h"

namespace lorikeet {

struct RenderingOptions {
  std::vector<std::string> data_columns;  // "prompt=question"
  std::optional<std::string> chat_template, chat_template_kwargs, date;
  std::string train_on = "assistant";
  std::optional<bool> assistant_only_loss;  // train_on as other trainers write it
  int64_t max_length = 2048;
  std::string overlong = "truncate";

  // Where data files are read.
  template <class V>
  void Columns(V& v) {
    v(data_columns, "data_columns", {},
      "Columns of the data that have other names, e.g. prompt=instruction,completion=response; "
      "docs/data.md lists the names.",
      {.metavar = "NAME=COLUMN",
       .foreign = {{"prompt_feature", "write data_columns: prompt=COLUMN"},
                   {"completion_feature", "write data_columns: completion=COLUMN"},
                   {"chat_feature", "write data_columns: messages=COLUMN"},
                   {"text_feature", "write data_columns: text=COLUMN"},
                   {"field_messages", "write data_columns: messages=COLUMN"},
                   {"dataset_text_field", "write data_columns: text=COLUMN"}}});
  }
  // Options of commands that read files of problems.
  template <class V>
  void ProblemColumns(V& v) {
    v(data_columns, "data_columns", {},
      "Columns of the data that have other names, e.g. prompt=task,answer=solution; "
      "docs/rl_tasks.md lists the names.",
      {.metavar = "NAME=COLUMN"});
  }
  // Also for prompts.
  template <class V>
  void Template(V& v) {
    v(chat_template, "chat_template", std::nullopt,
      "Jinja file to use instead of the model's own chat template, or the name of one of several, "
      "or chatml, or plain (for base models).",
      {.aliases = {"chat_template_path", "chat_template_jinja"}, .metavar = "FILE"});
    v(chat_template_kwargs, "chat_template_kwargs", std::nullopt,
      "Variables for the chat template, as a JSON object; a row's own win.", {.metavar = "JSON"});
    v(date, "date", std::nullopt, "For templates that print it: YYYY-MM-DD instead of today.");
  }
  // aliases: further names of train_on.
  template <class V>
  void TrainedTokens(V& v, const std::vector<std::string>& aliases = {}) {
    v(train_on, "train_on", "assistant",
      "What is learned: every assistant turn with its end-of-turn token, only the last one, what "
      "the chat template marks with {% generation %}, or every token.",
      {.aliases = aliases,
       .choices = {"assistant", "last", "generation", "all"},
       .foreign = {{"train_on_inputs", "write train_on: all, or assistant_only_loss: false"},
                   {"train_on_prompt", "write train_on: all, or assistant_only_loss: false"},
                   {"mask_history", "write train_on: last"}}});
    v(assistant_only_loss, "assistant_only_loss", std::nullopt,
      "The same as other trainers say it: true is train_on: assistant, false is train_on: all.",
      {.aliases = {"completion_only_loss", "mask_prompt"}});
  }
  template <class V>
  void MaxLength(V& v, int64_t default_length = 2048) {
    v(max_length, "max_length", default_length, "Longest example, in tokens.",
      {.aliases = {"max_seq_length", "cutoff_len", "sequence_len", "max_seq_len"},
       .min = 2,
       .max = 1 << 30,
       .foreign = ForeignPackingKeys()});
  }
  template <class V>
  void Overlong(V& v) {
    v(overlong, "overlong", "truncate", "What becomes of longer examples.",
      {.aliases = {"excess_length_strategy"}, .choices = {"truncate", "drop"}});
  }
};

// Throws Error(kInvalidArgument) for train_on and assistant_only_loss that contradict each other
// and for chat_template_kwargs that are not a JSON object.
RenderConfig RenderConfigOf(const RenderingOptions& rendering);
// chat_template_kwargs as JSON; null if there are none. Throws Error(kInvalidArgument).
OrderedJson TemplateVariablesOf(const RenderingOptions& rendering);

}  // namespace lorikeet
